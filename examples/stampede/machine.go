package main

import (
	"context"
	"net"
	"runtime"
)

// machine is what the scenes need of the machine. The tests have another one, on which no time
// depends on how busy this machine is.
type machine struct {
	listen func() (net.Listener, error)
	// dial connects to the listener, if it can from another address for a stranger.
	dial func(ctx context.Context, to net.Listener, stranger bool) (net.Conn, error)
	// hash costs checkCost of CPU time.
	hash func(username, password string) []byte
}

// thisMachine has the loopback interface, and the processor.
var thisMachine = machine{
	listen: func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") },
	dial: func(ctx context.Context, to net.Listener, stranger bool) (net.Conn, error) {
		dialer := &net.Dialer{}
		if stranger && runtime.GOOS == "linux" { // only there loopback has other addresses
			dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}
		}
		return dialer.DialContext(ctx, "tcp", to.Addr().String())
	},
	hash: hash,
}
