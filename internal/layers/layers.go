// Package layers looks through the layers around a connection.
package layers

import "net"

// most is how many layers are looked at: a connection may have itself for its NetConn.
const most = 16

// Find returns the outermost T among conn and the layers below it, such as TLS, a proxy protocol or
// compression. A layer has NetConn() net.Conn, as [crypto/tls.Conn] has. If there is no T, ok is
// false.
func Find[T any](conn net.Conn) (found T, ok bool) {
	for range most {
		if found, ok = conn.(T); ok {
			return found, true
		}
		layer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = layer.NetConn()
	}
	return found, false
}

// Innermost returns the lowest connection that the layers of conn lead to.
func Innermost(conn net.Conn) net.Conn {
	for range most {
		layer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = layer.NetConn()
	}
	return conn
}
