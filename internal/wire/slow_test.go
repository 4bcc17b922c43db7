package wire_test

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/wire"
)

// slow is a session whose CREATE takes longer than any deadline of go-imap's for a command.
type slow struct{ imaptest.Stub }

func (slow) Create(string, *imap.CreateOptions) error {
	time.Sleep(time.Minute)
	return nil
}

// socketListener is a listener whose connections the guard takes for sockets: it applies later
// deadlines only now and then.
type socketListener struct{ net.Listener }

type likeSocket struct{ net.Conn }

// noSocket tells nothing.
type noSocket struct{}

func (l socketListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return likeSocket{conn}, err
}

func (likeSocket) SyscallConn() (syscall.RawConn, error) { return noSocket{}, nil }

func (noSocket) Control(func(uintptr)) error    { return nil }
func (noSocket) Read(func(uintptr) bool) error  { return nil }
func (noSocket) Write(func(uintptr) bool) error { return nil }

func TestACommandThatTakesLongerThanADeadline(t *testing.T) {
	for _, secure := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ln := imaptest.Listen()
			start(t, guardedServer(quiet(imapserver.Options{
				NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
					return slow{}, nil, nil
				},
				InsecureAuth: true,
				TLSConfig:    imaptest.ServerTLS(),
			}), wire.Config{}), socketListener{ln})
			c := dial(t, ln)
			c.Line()
			if secure {
				assert.True(t, imaptest.IsOK(c.Cmd("a STARTTLS")))
				c = imaptest.NewConn(t, tls.Client(c.Conn, imaptest.ClientTLS()))
			}
			assert.True(t, imaptest.IsOK(c.Cmd("b LOGIN karen pass")))
			for range 3 {
				assert.True(t, imaptest.IsOK(c.Cmd("c CREATE x")))
				assert.True(t, imaptest.IsOK(c.Cmd("d NOOP")))
				time.Sleep(2 * time.Minute)
				assert.True(t, imaptest.IsOK(c.Cmd("e NOOP")))
			}
			c.Cmd("f LOGOUT")
		})
	}
}

// full is a connection whose client can stop reading, so that a Write waits until it is closed.
type full struct {
	net.Conn
	isFull atomic.Bool
	closed chan struct{}
	once   sync.Once
}

func (f *full) Write(p []byte) (int, error) {
	if f.isFull.Load() {
		<-f.closed
		return 0, net.ErrClosed
	}
	return f.Conn.Write(p)
}

func (f *full) Close() error {
	f.once.Do(func() { close(f.closed) })
	return f.Conn.Close()
}

// fullListener is a listener of one connection.
type fullListener struct {
	net.Listener
	conn *full
}

func (l fullListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.conn.Conn = conn
	return likeSocket{l.conn}, nil
}

// trickle is a session whose FETCH writes one message, and then nothing for an hour.
type trickle struct{ imaptest.Stub }

func (trickle) Fetch(w *imapserver.FetchWriter, _ imap.NumSet, _ *imap.FetchOptions) error {
	m := w.CreateMessage(1)
	m.WriteFlags(nil)
	if err := m.Close(); err != nil {
		return err
	}
	time.Sleep(time.Hour)
	return nil
}

func TestAClientThatDoesNotTakeWhatWasHeldIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, conn := imaptest.Listen(), &full{closed: make(chan struct{})}
		start(t, guardedServer(quiet(imapserver.Options{
			NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return trickle{}, nil, nil
			},
			InsecureAuth: true,
		}), wire.Config{}), fullListener{ln, conn})
		c := dial(t, ln)
		c.Line()
		assert.True(t, imaptest.IsOK(c.Cmd("a LOGIN karen pass")))
		assert.True(t, imaptest.IsOK(c.Cmd("b SELECT INBOX")))
		conn.isFull.Store(true)
		began := time.Now()
		c.Send("c FETCH 1 FLAGS")
		<-conn.closed
		assert.Equal(t, 30*time.Second, time.Since(began).Truncate(time.Second))
		time.Sleep(time.Hour)
	})
}
