package vfolders_test

import (
	"net"
	"testing"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/memconn"
	"github.com/imapgate/imapgate/vfolders"
)

// told is a connection that notes when it is told to say READ-ONLY.
type told struct {
	net.Conn
	times int
}

func (c *told) ReadOnlyNext() { c.times++ }

// layer is a connection around another.
type layer struct{ net.Conn }

func (l layer) NetConn() net.Conn { return l.Conn }

// one is a listener of one connection.
type one struct{ conn chan net.Conn }

func (l one) Accept() (net.Conn, error) {
	if conn, ok := <-l.conn; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}
func (l one) Close() error   { return nil }
func (l one) Addr() net.Addr { return &net.TCPAddr{} }

func TestAVirtualFolderIsReadOnlyWhereTheConnectionCanSaySo(t *testing.T) {
	for _, around := range []func(net.Conn) net.Conn{
		func(c net.Conn) net.Conn { return c }, func(c net.Conn) net.Conn { return layer{c} },
	} {
		client, server := memconn.Pipe(&net.TCPAddr{}, &net.TCPAddr{})
		guard := &told{Conn: server}
		listener := one{make(chan net.Conn, 1)}
		listener.conn <- around(guard)
		close(listener.conn)
		s := imapserver.New(&imapserver.Options{
			NewSession: vfolders.Wrap(names('/', "a/b", "c").session, nil), InsecureAuth: true,
		})
		s.Serve(listener)
		c := imaptest.NewConn(t, client)
		c.Line()
		answer(t, c, "LOGIN bob pass")
		for _, command := range []string{"SELECT c", "EXAMINE a", "STATUS a (MESSAGES)"} {
			answer(t, c, command)
			assert.Zero(t, guard.times, command)
		}
		assert.Contains(t, imaptest.Last(c.Cmd("a SELECT nowhere")), "NO ")
		assert.Zero(t, guard.times)
		answer(t, c, "SELECT a")
		assert.Equal(t, 1, guard.times)
		s.Close()
	}
}
