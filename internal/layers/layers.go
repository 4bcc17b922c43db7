// Package layers looks through what a connection is wrapped in.
package layers

import "net"

// most ends the search in a connection that has itself for its NetConn.
const most = 16

// Find looks for a T in conn and below any number of layers (TLS, a proxy protocol, compression)
// that offer NetConn() net.Conn, as [crypto/tls.Conn] does. It returns the outermost; ok is false
// if there is none.
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
