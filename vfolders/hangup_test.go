package vfolders_test

import (
	"io"
	"log"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/vfolders"
)

// telling is a connection in memory whose RawConn fails when either end was closed, as that of
// a socket does that this side has closed.
type telling struct {
	net.Conn
	closed atomic.Bool
}

func (c *telling) Close() error {
	c.closed.Store(true)
	return c.Conn.Close()
}

func (c *telling) SyscallConn() (syscall.RawConn, error) {
	return imaptest.Socket{Closed: &c.closed}, nil
}

type tellingListener struct {
	*imaptest.Listener
	accepted chan *telling
}

func (l *tellingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &telling{Conn: conn}
	l.accepted <- c
	return c, nil
}

// leaving is a session that tells when it is closed, and whose LIST may wait at its end.
type leaving struct {
	mover
	block  chan struct{} // nil: it does not wait
	closed atomic.Pointer[time.Time]
}

func (l *leaving) List(
	w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions,
) error {
	err := l.mover.List(w, ref, patterns, options)
	if l.block != nil {
		<-l.block
	}
	return err
}

func (l *leaving) Close() error {
	l.closed.Store(new(time.Now()))
	return nil
}

// A LIST that waits for memory ends when its client has hung up, or when the server is closed: it
// would keep its place in the line, and its session.
func TestAListThatWaitsEndsWithItsConnection(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	for name, end := range map[string]func(server *imapserver.Server, conn *telling){
		"the client hangs up": func(_ *imapserver.Server, conn *telling) { conn.closed.Store(true) },
		"the server closes":   func(server *imapserver.Server, _ *telling) { server.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				block := make(chan struct{})
				var sessions []*leaving
				server := imapserver.New(&imapserver.Options{
					NewSession: vfolders.Wrap(
						func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
							session := &leaving{mover: mover{large()}}
							if sessions = append(sessions, session); len(sessions) == 1 {
								session.block = block
							}
							return session, nil, nil
						}, &vfolders.Options{MaxTotalMemory: inMemory * 3 / 2},
					),
					Caps: imaptest.MemoryCaps(), InsecureAuth: true, Logger: log.New(io.Discard, "", 0),
				})
				listener := &tellingListener{imaptest.Listen(), make(chan *telling, 2)}
				go server.Serve(listener)
				var conns []*telling
				for range 2 { // the first one has the memory, and the second one waits for it
					conn, err := listener.Dial()
					require.NoError(t, err)
					c := imaptest.NewConn(t, conn)
					conns = append(conns, <-listener.accepted)
					c.Line()
					c.Cmd("l LOGIN bob pass")
					c.Send(`a LIST "" *`)
					synctest.Wait()
				}
				listener.Close()
				synctest.Wait()
				start := time.Now()
				end(server, conns[1])
				time.Sleep(time.Second)
				conns[1].Conn.Close()
				synctest.Wait()
				require.NotNil(t, sessions[1].closed.Load(), "it waits still")
				assert.LessOrEqual(t, sessions[1].closed.Load().Sub(start), time.Second)
				close(block)
				server.Close()
			})
		})
	}
}
