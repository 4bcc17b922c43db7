package limits_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// bigFetch is a backend session with one message of the given size in bytes.
type bigFetch struct {
	backendSession
	size int64
}

func (s *bigFetch) Fetch(
	w *imapserver.FetchWriter, _ imap.NumSet, options *imap.FetchOptions,
) error {
	message := w.CreateMessage(1)
	body := message.WriteBodySection(options.BodySection[0], s.size)
	if _, err := io.Copy(body, io.LimitReader(zeros{}, s.size)); err != nil {
		return err
	}
	if err := body.Close(); err != nil {
		return err
	}
	return message.Close()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// fetching returns a limiter and a connection on which a FETCH of size bytes was sent.
func fetching(t *testing.T, size int64, options *limits.Options) (*limits.Limiter, net.Conn) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	b := &backend{}
	limiter := limits.New(options)
	address := listenTCP(
		t,
		plain,
		limiter.Wrap(func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return &bigFetch{backendSession{backend: b}, size}, nil, nil
		}),
	)
	c := imaptest.DialTCP(t, address)
	c.Cmd("a LOGIN karen pass")
	c.Cmd("b SELECT INBOX")
	c.Send("x FETCH 1 BODY.PEEK[]")
	return limiter, c.Conn
}

func TestAClientThatStopsReadingGivesItsSlotBack(t *testing.T) {
	t.Parallel()
	events := make(chan limits.Event, 1)
	limiter, _ := fetching(t, 100<<20, &limits.Options{
		MaxFetches: 1, StallTimeout: 300 * time.Millisecond,
		OnEvent: func(e limits.Event) { events <- e },
	})
	event := <-events
	assert.Equal(t, limits.EventStalled, event.Kind)
	assert.Equal(t, "FETCH", event.Command)
	assert.Equal(t, "karen", event.User)
	assert.Equal(t, "StallTimeout", event.Limit)
	for limiter.Stats().Connections > 0 {
		runtime.Gosched()
	}
	assert.Equal(t, limits.Stats{Refused: limits.Refusals{Stalled: 1}}, limiter.Stats())
}

// bigList is a backend session with more mailboxes than the buffers of a connection hold.
type bigList struct{ backendSession }

func (s *bigList) List(w *imapserver.ListWriter, _ string, _ []string, _ *imap.ListOptions) error {
	for range 100_000 {
		if err := w.WriteList(&imap.ListData{Mailbox: strings.Repeat("m", 1000)}); err != nil {
			return err
		}
	}
	return nil
}

// Other commands than FETCH write much, too: LIST and STORE, in the slots of the other commands.
func TestAClientThatDoesNotReadAListGivesItsSlotBack(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	t.Parallel()
	events := make(chan limits.Event, 1)
	limiter := limits.New(&limits.Options{
		MaxCommands: 1, StallTimeout: 300 * time.Millisecond,
		OnEvent: func(e limits.Event) { events <- e },
	})
	b := &backend{}
	address := listenTCP(t, plain, limiter.Wrap(
		func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return &bigList{backendSession{backend: b}}, nil, nil
		},
	))
	c := imaptest.DialTCP(t, address)
	c.Cmd("a LOGIN karen pass")
	c.Send(`x LIST "" *`)
	event := <-events
	assert.Equal(t, limits.EventStalled, event.Kind)
	assert.Equal(t, "LIST", event.Command)
	for limiter.Stats().Connections > 0 {
		runtime.Gosched()
	}
	assert.Equal(t, limits.Stats{Refused: limits.Refusals{Stalled: 1}}, limiter.Stats())
}

// The backend stops in the middle of the message, as imapmemserver does, and leaves the server's
// writer locked.
func TestAClientThatDiesInTheMiddleOfAMessageLeavesNothing(t *testing.T) {
	for name, die := range map[string]func(*net.TCPConn){
		"FIN": func(c *net.TCPConn) { c.Close() },
		"RST": func(c *net.TCPConn) { c.SetLinger(0); c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limiter, conn := fetching(t, 100<<20, limits.DefaultOptions())
			_, err := io.ReadFull(conn, make([]byte, 1<<20))
			require.NoError(t, err)
			die(conn.(*net.TCPConn))
			for limiter.Stats() != (limits.Stats{}) {
				runtime.Gosched()
			}
		})
	}
}

// The answer to a stopped FETCH is the limiter's, but the backend's own error shows that the client
// is gone. Nothing else shows it where a wrapper around the socket does not pass on an empty Write.
func TestAClientThatDiesAfterFetchRunTimeoutLeavesNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	t.Parallel()
	limiter := limits.New(&limits.Options{FetchRunTimeout: time.Millisecond})
	address := listenTCP(
		t,
		func(l net.Listener) net.Listener { return muteListener{l} },
		limiter.Wrap(func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return &deafFetch{bigFetch{backendSession{backend: &backend{}}, 100 << 20}}, nil, nil
		}),
	)
	c := imaptest.DialTCP(t, address)
	c.Cmd("a LOGIN karen pass")
	c.Cmd("b SELECT INBOX")
	c.Send("x FETCH 1 BODY.PEEK[]")
	_, err := io.ReadFull(c.Conn, make([]byte, 1<<20))
	require.NoError(t, err)
	c.Conn.Close()
	for limiter.Stats().Connections > 0 {
		runtime.Gosched()
	}
	assert.Equal(t, limits.Stats{Refused: limits.Refusals{FetchRunTimeout: 1}}, limiter.Stats())
}

// deafFetch ignores its context.
type deafFetch struct{ bigFetch }

func (s *deafFetch) FetchContext(
	ctx context.Context, w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	err := s.Fetch(w, numSet, options)
	<-ctx.Done()
	return err
}

type muteListener struct{ net.Listener }

func (l muteListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return muteConn{conn}, err
}

type muteConn struct{ net.Conn }

func (c muteConn) NetConn() net.Conn { return c.Conn }

func (c muteConn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return c.Conn.Write(p)
}

func TestAClientThatReadsSlowlyKeepsItsSlot(t *testing.T) {
	t.Parallel()
	const size = 60 << 20
	var stalled []limits.Event
	limiter, conn := fetching(t, size, &limits.Options{
		StallTimeout: 1200 * time.Millisecond,
		OnEvent:      func(e limits.Event) { stalled = append(stalled, e) },
	})
	// A pause after each 2 MB; all together are longer than the timeout.
	buf := make([]byte, 2<<20)
	read := 0
	for read < size {
		n, err := io.ReadFull(conn, buf[:min(len(buf), size-read)])
		require.NoError(t, err)
		read += n
		<-time.After(60 * time.Millisecond)
	}
	assert.Empty(t, stalled)
	assert.Equal(t, 1, limiter.Stats().Connections)
}

func TestABackendThatIsSlowIsNoStall(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	finish := make(chan struct{})
	b := &backend{fetch: func(string) error { <-finish; return nil }}
	stalled := make(chan limits.Event, 1)
	limiter := limits.New(
		&limits.Options{
			StallTimeout: 20 * time.Millisecond,
			OnEvent:      func(e limits.Event) { stalled <- e },
		},
	)
	address := listenTCP(t, plain, limiter.Wrap(b.NewSession))
	c := imaptest.DialTCP(t, address)
	c.Cmd("a LOGIN karen pass")
	c.Cmd("b SELECT INBOX")
	c.Send("x FETCH 1 FLAGS")
	select {
	case event := <-stalled:
		t.Errorf("%+v", event)
	case <-time.After(300 * time.Millisecond):
	}
	close(finish)
	assert.True(t, imaptest.IsOK(c.Answer("x")))
}

// Without a timeout, a client that connects to an implicit-TLS port and sends nothing could stay
// forever: the server makes its session before the handshake.
func TestAClientThatIsSilentBeforeTheTLSHandshakeIsClosed(t *testing.T) {
	t.Parallel()
	b := &backend{}
	limiter := limits.New(&limits.Options{LoginTimeout: 200 * time.Millisecond})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := imapserver.New(
		&imapserver.Options{NewSession: limiter.Wrap(b.NewSession), Logger: log.New(io.Discard, "", 0)},
	)
	go server.Serve(tls.NewListener(listener, imaptest.ServerTLS()))
	t.Cleanup(func() { server.Close() })
	conn, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	received, _ := io.ReadAll(conn)
	assert.Empty(t, strings.TrimSpace(string(received)))
	for limiter.Stats().Connections > 0 {
		runtime.Gosched()
	}
	assert.EqualValues(t, 1, limiter.Stats().Refused.LoginTimeout)
}

func TestAStallTimeoutThatComesLateIsKept(t *testing.T) {
	t.Parallel()
	for _, dryRun := range []bool{false, true} {
		events := make(chan limits.Event, 100)
		limiter, _ := fetching(t, 100<<20, &limits.Options{})
		for limiter.Stats().Fetches == 0 {
			runtime.Gosched()
		}
		require.NoError(t, limiter.SetOptions(&limits.Options{
			StallTimeout: 200 * time.Millisecond, DryRun: dryRun,
			OnEvent: func(e limits.Event) { events <- e },
		}))
		event := <-events
		assert.Equal(t, limits.EventStalled, event.Kind)
		assert.Equal(t, dryRun, event.DryRun)
		if dryRun {
			assert.Equal(t, 1, limiter.Stats().Fetches)
		}
	}
}

// Where a stall cannot be seen, the server's own write timeout ends the FETCH. Nothing must be held
// after that either.
func TestAClientThatStopsReadingLeavesNothingAfterTheServersTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		s := serveSessions(
			t,
			b,
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return &bigFetch{backendSession{backend: b}, 1 << 20}, nil, nil
			},
			limits.DefaultOptions(),
		)
		c := s.selected("karen")
		c.Send("x FETCH 1 BODY[]")
		time.Sleep(6 * time.Minute)
		s.inUse(limits.Stats{})
	})
}

// An error of the backend itself does not count against the client.
func TestABackendWhoseDatabaseIsGoneAnswers(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	for _, trouble := range []error{syscall.ECONNRESET, syscall.EPIPE, os.ErrDeadlineExceeded} {
		b := &backend{fetch: func(string) error { return fmt.Errorf("database: %w", trouble) }}
		address := listenTCP(t, plain, limits.New(nil).Wrap(b.NewSession))
		c := imaptest.DialTCP(t, address)
		c.Cmd("a LOGIN karen pass")
		c.Cmd("b SELECT INBOX")
		assert.Equal(t, "NO [SERVERBUG] Internal server error", imaptest.Last(c.Cmd("x FETCH 1 FLAGS")))
	}
}
