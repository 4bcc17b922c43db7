package layers_test

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/layers"
)

// wrapped is a connection around another one.
type wrapped struct {
	net.Conn
	below net.Conn
}

func (w *wrapped) NetConn() net.Conn { return w.below }

func TestFind(t *testing.T) {
	socket := &net.TCPConn{}
	encrypted := tls.Server(socket, nil)
	around := &wrapped{below: &wrapped{below: encrypted}}
	circle := &wrapped{}
	circle.below = circle

	for name, test := range map[string]struct {
		conn  net.Conn
		tls   *tls.Conn
		below *net.TCPConn
	}{
		"a socket":                     {socket, nil, socket},
		"TLS":                          {encrypted, encrypted, socket},
		"TLS within others":            {around, encrypted, socket},
		"a connection without a layer": {struct{ net.Conn }{socket}, nil, nil},
		"a layer around nothing":       {&wrapped{}, nil, nil},
		"itself for ever":              {circle, nil, nil},
		"no connection":                {nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			found, ok := layers.Find[*tls.Conn](test.conn)
			assert.Same(t, test.tls, found)
			assert.Equal(t, test.tls != nil, ok)
			below, ok := layers.Find[*net.TCPConn](test.conn)
			assert.Same(t, test.below, below)
			assert.Equal(t, test.below != nil, ok)
		})
	}
}

func TestInnermost(t *testing.T) {
	socket := &net.TCPConn{}
	circle := &wrapped{}
	circle.below = circle
	assert.Same(t, socket, layers.Innermost(socket))
	assert.Same(t, socket, layers.Innermost(&wrapped{below: tls.Server(&wrapped{below: socket}, nil)}))
	assert.Same(t, circle, layers.Innermost(circle), "it ends")
}
