package copymeta_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/internal/imaptest"
)

const (
	isRunning = "* OK [INPROGRESS] The command is running"
	isWaiting = "* OK [INPROGRESS] The command waits for its turn"
)

// slow is a backend whose every APPEND takes a while.
type slow struct {
	imapserver.Session
	takes    time.Duration
	appended atomic.Int64
}

func (s *slow) Append(
	mailbox string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	time.Sleep(s.takes)
	s.appended.Add(1)
	return s.Session.Append(mailbox, r, options)
}

// Move is what makes the session one of MOVE. It is not used.
func (s *slow) Move(*imapserver.MoveWriter, imap.NumSet, string) error { panic("not asked") }

func (s *slow) Namespace() (*imap.NamespaceData, error) { return &imap.NamespaceData{}, nil }

// fortyMessages is a backend with those in INBOX, where an APPEND takes 300 ms.
func fortyMessages() (*slow, *backend) {
	b := newBackend()
	for range 40 {
		b.mailboxes["INBOX"].add(stored{content: "x"})
	}
	return &slow{Session: b, takes: 300 * time.Millisecond}, b
}

func TestACopyIsNotSilent(t *testing.T) {
	for _, secure := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			session, _ := fortyMessages()
			server := imaptest.NewServer(t, &imapserver.Options{
				NewSession: copymeta.Wrap(of(session), &copymeta.Options{
					Flags: copymeta.Reset, Move: true, ProgressInterval: 5 * time.Second,
				}),
				Caps: imaptest.MemoryCaps(), TLSConfig: imaptest.ServerTLS(), InsecureAuth: true,
			})
			c := server.Dial()
			c.Line()
			if secure {
				c.Cmd("s STARTTLS")
				c = imaptest.NewConn(t, tls.Client(c.Conn, imaptest.ClientTLS()))
			}
			c.Cmd("l LOGIN karen pass")
			c.Cmd("s SELECT INBOX")
			for range 2 {
				start := time.Now()
				c.Send("a COPY 1:* Archive")
				assert.Equal(t, isRunning, c.Line())
				assert.Equal(t, 5*time.Second, time.Since(start))
				assert.Equal(t, isRunning, c.Line())
				assert.Equal(t, 10*time.Second, time.Since(start))
				assert.Contains(t, c.Line(), "a OK [COPYUID ")
				assert.Equal(t, 12*time.Second, time.Since(start))
				time.Sleep(time.Minute)
			}
			answer := c.Cmd("b MOVE 1:* Archive")
			assert.Equal(t, []string{isRunning, isRunning}, answer[:2])
			assert.Contains(t, answer[2], "* OK [COPYUID ")
			assert.Equal(t, slices.Repeat([]string{"* 1 EXPUNGE"}, 40), answer[3:43])
			assert.Equal(t, "b OK MOVE completed", answer[43])

			// A COPY that is done before is as ever, and so are the commands after it.
			c.Cmd("s SELECT Archive")
			assert.Len(t, c.Cmd("c COPY 1:16 INBOX"), 1)
			time.Sleep(time.Minute)
			assert.Len(t, c.Cmd("d NOOP"), 1)
			c.Close()
			server.Close()
		})
	}
}

func TestACopierIsNotSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &slowCopier{withCopier{backend: newBackend(stored{content: "x"})}}
		server := imaptest.Serve(t, copymeta.Wrap(of(b), &copymeta.Options{
			Flags: copymeta.Reset, ProgressInterval: 5 * time.Second,
		}))
		c := server.Login("karen", "pass")
		c.Cmd("s SELECT INBOX")
		assert.Equal(t, []string{isRunning, isRunning, "a OK COPY completed"}, c.Cmd("a COPY 1 Archive"))
	})
}

type slowCopier struct{ withCopier }

func (s *slowCopier) CopyMeta(
	numSet imap.NumSet, dest string, date, flags copymeta.Policy,
) (*imap.CopyData, error) {
	time.Sleep(12 * time.Second)
	return s.withCopier.CopyMeta(numSet, dest, date, flags)
}

func TestZeroIsNoProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		session, _ := fortyMessages()
		c := open(t, session, reset)
		assert.Len(t, c.Cmd("a COPY 1:* Archive"), 1)
	})
}

// telling is a connection in memory that knows when its client has closed it, as a socket does. Its
// RawConn fails then, as that of a socket that was closed.
type telling struct {
	net.Conn
	raw imaptest.Socket
}

func (c *telling) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }

type tellingListener struct {
	*imaptest.Listener
	closed chan *atomic.Bool
}

func (l *tellingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	closed := &atomic.Bool{}
	l.closed <- closed
	return &telling{conn, imaptest.Socket{Closed: closed}}, nil
}

// tellingServer serves in memory, and each client has a function to hang up with that the server
// notices as it does with sockets.
type tellingServer struct {
	t        *testing.T
	listener *tellingListener
	logged   *bytes.Buffer
}

func serveTelling(t *testing.T, newSession copymeta.NewSessionFunc) *tellingServer {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	s := &tellingServer{
		t, &tellingListener{imaptest.Listen(), make(chan *atomic.Bool, 1)}, &bytes.Buffer{},
	}
	server := imapserver.New(&imapserver.Options{
		NewSession: newSession, Caps: imaptest.MemoryCaps(), InsecureAuth: true,
		Logger: log.New(s.logged, "", 0),
	})
	go server.Serve(s.listener)
	t.Cleanup(func() {
		s.listener.Close()
		synctest.Wait()
		server.Close()
	})
	return s
}

// selected returns a client that has selected INBOX.
func (s *tellingServer) selected() (c *imaptest.Conn, hangUp func()) {
	return s.selectedBy("karen")
}

func (s *tellingServer) selectedBy(user string) (c *imaptest.Conn, hangUp func()) {
	conn, err := s.listener.Dial()
	require.NoError(s.t, err)
	closed := <-s.listener.closed
	c = imaptest.NewConn(s.t, conn)
	c.Line()
	c.Cmd("l LOGIN " + user + " pass")
	c.Cmd("s SELECT INBOX")
	return c, func() {
		closed.Store(true)
		c.Close()
	}
}

// A client that hears nothing hangs up and tries again. Nothing of the first COPY may be left then,
// and it may not go on.
func TestACopyStopsWhenItsClientIsGone(t *testing.T) {
	for _, undoer := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			session, b := fortyMessages()
			newSession := copymeta.Wrap(of(session), reset)
			if undoer {
				newSession = copymeta.Wrap(of(&slowUndoer{session, &withUndo{backend: b}}), reset)
			}
			server := serveTelling(t, newSession)
			c, hangUp := server.selected()
			c.Send("a COPY 1:* Archive", "b STORE 1:* +FLAGS.SILENT (\\Deleted)", "c EXPUNGE")
			time.Sleep(3 * time.Second)
			hangUp()
			time.Sleep(time.Second)
			synctest.Wait()
			assert.Less(t, session.appended.Load(), int64(13), "it stops within half a second")
			assert.Empty(t, b.mailboxes["Archive"].messages)
			assert.Len(t, b.mailboxes["INBOX"].messages, 40, "no command after it runs")
			for _, m := range b.mailboxes["INBOX"].messages {
				assert.Empty(t, m.flags)
			}
			assert.Equal(t, undoer, slices.ContainsFunc(b.calls, func(call string) bool {
				return strings.HasPrefix(call, "UNDO ")
			}))

			c, _ = server.selected()
			assert.Contains(t, imaptest.Last(c.Cmd("a COPY 1:* Archive")), "OK [COPYUID ")
			assert.Len(t, b.mailboxes["Archive"].messages, 40)
			assert.Empty(t, server.logged.String())
		})
	}
}

type slowUndoer struct {
	*slow
	undoer copymeta.Undoer
}

func (s *slowUndoer) Undo(mailbox string, uidValidity uint32, uids imap.UIDSet) error {
	return s.undoer.Undo(mailbox, uidValidity, uids)
}

// Where the copies cannot be taken out, the log tells.
func TestCopiesOfAClientThatIsGoneWhichStay(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(b *backend)
		log     string
	}{
		"no UIDs": {func(b *backend) { b.noUIDs = true }, `"the backend does not tell their UIDs"`},
		"other UIDVALIDITY": {
			func(b *backend) { b.onSelect = func() { b.mailboxes["Archive"].validity = 8 } },
			`"its UIDVALIDITY is 8 now"`,
		},
		"gone": {
			func(b *backend) { b.onSelect = func() { delete(b.mailboxes, "Archive") } },
			`"imap: NO [TRYCREATE] Backend has no such mailbox"`,
		},
		"STORE": {
			func(b *backend) {
				b.store = func(imap.UIDSet, *imap.StoreFlags) error { return errInternal }
			}, `"disk\r\non fire"`,
		},
		"EXPUNGE": {func(b *backend) { b.expunge = errQuota }, `"imap: NO [OVERQUOTA] Backend is full"`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				session, b := fortyMessages()
				var logged bytes.Buffer
				options := *reset
				options.Logger = log.New(&logged, "", 0)
				c, hangUp := serveTelling(t, copymeta.Wrap(of(session), &options)).selected()
				test.prepare(b)
				c.Send("a COPY 1:* Archive")
				time.Sleep(3 * time.Second)
				hangUp()
				time.Sleep(time.Second)
				synctest.Wait()
				assert.Less(t, session.appended.Load(), int64(13))
				assert.Equal(
					t, "copymeta: take out the copies of a client that is gone: "+test.log+"\n", logged.String(),
				)
			})
		})
	}
}

// A COPY to a mailbox that has other messages takes out its own only, and so does one of a mailbox
// to itself.
func TestOnlyTheCopiesAreTakenOut(t *testing.T) {
	for _, dest := range []string{"Archive", "INBOX"} {
		synctest.Test(t, func(t *testing.T) {
			session, b := fortyMessages()
			old := []imap.Flag{imap.FlagDeleted}
			for range 3 {
				b.mailboxes["Archive"].add(stored{content: "old", flags: old})
			}
			want := len(b.mailboxes[dest].messages)
			c, hangUp := serveTelling(t, copymeta.Wrap(of(session), reset)).selected()
			c.Send("a COPY 1:* " + dest)
			time.Sleep(3 * time.Second)
			hangUp()
			time.Sleep(time.Second)
			synctest.Wait()
			assert.Len(t, b.mailboxes[dest].messages, want)
			assert.Len(t, b.mailboxes["INBOX"].messages, 40)
		})
	}
}

// A MOVE that is stopped takes its copies out, or else is a MOVE of some: in no case are there two
// of a message, or none.
func TestAMoveStopsWhenItsClientIsGone(t *testing.T) {
	for _, undoer := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			session, b := fortyMessages()
			newSession := copymeta.Wrap(of(session), resetMove)
			if undoer {
				newSession = copymeta.Wrap(of(&slowUndoer{session, &withUndo{backend: b}}), resetMove)
			}
			c, hangUp := serveTelling(t, newSession).selected()
			c.Send("a MOVE 1:* Archive", "b STORE 1:* +FLAGS (\\Deleted)", "c EXPUNGE")
			time.Sleep(3 * time.Second)
			hangUp()
			time.Sleep(time.Second)
			synctest.Wait()
			moved := len(b.mailboxes["Archive"].messages)
			assert.Less(t, session.appended.Load(), int64(13))
			assert.Equal(t, undoer, moved == 0)
			assert.Len(t, b.mailboxes["INBOX"].messages, 40-moved)
			for _, m := range b.mailboxes["INBOX"].messages {
				assert.Empty(t, m.flags)
			}
		})
	}
}

// When everything is copied, a MOVE is finished, with or without a client: to repeat it then moves
// nothing twice.
func TestAMoveThatIsCopiedIsFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		session, b := fortyMessages()
		b.expungeTakes = 10 * time.Second
		c, hangUp := serveTelling(t, copymeta.Wrap(of(session), resetMove)).selected()
		c.Send("a MOVE 1:* Archive")
		time.Sleep(15 * time.Second)
		hangUp()
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Empty(t, b.mailboxes["INBOX"].messages)
		assert.Len(t, b.mailboxes["Archive"].messages, 40)
	})
}

// A backend that takes a context is stopped in the middle of its FETCH; one that does not, between
// two messages. In both cases nothing was appended.
func TestReadingStopsWhenTheClientIsGone(t *testing.T) {
	for _, takesContext := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBackend()
			for range 40 {
				b.mailboxes["INBOX"].add(stored{content: "x"})
			}
			fetched := 0
			b.items = func(w *imapserver.FetchResponseWriter, m *stored, options *imap.FetchOptions) {
				if len(options.BodySection) > 0 {
					time.Sleep(300 * time.Millisecond)
					fetched++
				}
				writeItems(w, m, options)
			}
			var session imapserver.Session = b
			if takesContext {
				session = &contextual{backend: b}
			}
			c, hangUp := serveTelling(t, copymeta.Wrap(of(session), reset)).selected()
			c.Send("a COPY 1:* Archive", "b STORE 1 +FLAGS (\\Deleted)")
			time.Sleep(3 * time.Second)
			hangUp()
			time.Sleep(time.Minute)
			synctest.Wait()
			assert.Less(t, fetched, 14)
			assert.Empty(t, b.mailboxes["Archive"].messages)
			assert.Empty(t, b.mailboxes["INBOX"].messages[0].flags)
			assert.Equal(t, takesContext, fetched == 0)
		})
	}
}

// contextual is a backend whose FETCH of bodies waits for ever, until it is stopped. Then it says
// that it is complete, which it is not.
type contextual struct {
	*backend
	began, closed chan struct{} // may be nil
}

func (c *contextual) FetchContext(
	ctx context.Context, w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	if len(options.BodySection) == 0 {
		return c.backend.Fetch(w, numSet, options)
	}
	if c.began != nil {
		close(c.began)
	}
	<-ctx.Done()
	return nil
}

func (c *contextual) Close() error {
	if c.closed != nil {
		close(c.closed)
	}
	return nil
}

// A backend that is stopped while it looks for the messages has found some of them. Those alone are
// not moved.
func TestLookingStopsWhenTheClientIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &withCopier{backend: newBackend(stored{content: "one"}, stored{content: "two"})}
		c, hangUp := serveTelling(t, copymeta.Wrap(of(&half{b}), resetMove)).selected()
		c.Send("a MOVE 1:* Archive")
		synctest.Wait()
		hangUp()
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Empty(t, b.calls)
	})
}

// half is a backend whose FETCH writes one response, and waits for ever until it is stopped.
type half struct{ *withCopier }

func (h *half) FetchContext(
	ctx context.Context, w *imapserver.FetchWriter, _ imap.NumSet, options *imap.FetchOptions,
) error {
	(&responder{w, nil, options}).write(1, h.selected.messages[0], "uid size flags")
	<-ctx.Done()
	return nil
}

// Where nobody can tell that a client is gone, the next word of progress does, which cannot be
// written.
func TestTheWordOfProgressFindsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		session, b := fortyMessages()
		c := open(t, session, &copymeta.Options{
			Flags: copymeta.Reset, ProgressInterval: 2 * time.Second,
		})
		c.Send("a COPY 1:* Archive", "b STORE 1 +FLAGS (\\Deleted)")
		time.Sleep(3 * time.Second)
		c.Close()
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Less(t, session.appended.Load(), int64(20))
		assert.Empty(t, b.mailboxes["Archive"].messages)
		assert.Empty(t, b.mailboxes["INBOX"].messages[0].flags)
	})
}

// A COPY by a Copier cannot be stopped, but what it has copied for nobody is taken out.
func TestACopierWhoseClientIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &slowCopier{withCopier{backend: newBackend(stored{content: "x"})}}
		for range 3 {
			b.mailboxes["Archive"].add(stored{content: "x"})
		}
		b.data = &imap.CopyData{
			UIDValidity: 7, SourceUIDs: imap.UIDSetNum(1, 2, 3),
			DestUIDs: imap.UIDSet{{Start: 43, Stop: 43}, {Start: 41, Stop: 41}, {Start: 42, Stop: 42}},
		}
		c, hangUp := serveTelling(t, copymeta.Wrap(of(b), reset)).selected()
		c.Send("a COPY 1 Archive")
		time.Sleep(3 * time.Second)
		hangUp()
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Empty(t, b.mailboxes["Archive"].messages)
	})
}

// A client that sends COPY and LOGOUT and hangs up at once gets its copy, if that takes no longer
// than it takes to find out.
func TestAShortCopyIsMadeForAClientThatDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		session, b := fortyMessages()
		c, hangUp := serveTelling(t, copymeta.Wrap(of(session), reset)).selected()
		c.Send("a COPY 1 Archive")
		hangUp()
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Len(t, b.mailboxes["Archive"].messages, 1)
	})
}

// The same over real sockets, which close in many ways.
func TestACopyStopsWhenItsSocketIsClosed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	for name, hangUp := range map[string]func(tcp *net.TCPConn){
		"FIN":        func(tcp *net.TCPConn) { tcp.Close() },
		"half close": func(tcp *net.TCPConn) { tcp.CloseWrite() },
		"RST": func(tcp *net.TCPConn) {
			tcp.SetLinger(0)
			tcp.Close()
		},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", secure), func(t *testing.T) {
				t.Parallel()
				s := &contextual{
					backend: newBackend(stored{content: "one"}), began: make(chan struct{}),
					closed: make(chan struct{}),
				}
				conn, c := selectedOverTCP(t, s, secure)
				c.Send("a COPY 1:* Archive", "b STORE 1:* +FLAGS (\\Deleted)", "c EXPUNGE")
				<-s.began
				hangUp(conn)
				<-s.closed
				assert.Empty(t, s.mailboxes["Archive"].messages)
				require.Len(t, s.mailboxes["INBOX"].messages, 1)
				assert.Empty(t, s.mailboxes["INBOX"].messages[0].flags, "no command after it runs")
			})
		}
	}
}

func selectedOverTCP(
	t *testing.T, session imapserver.Session, secure bool,
) (*net.TCPConn, *imaptest.Conn) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := imapserver.New(&imapserver.Options{
		NewSession: copymeta.Wrap(of(session), reset), Caps: imaptest.MemoryCaps(),
		TLSConfig: imaptest.ServerTLS(), InsecureAuth: true, Logger: log.New(io.Discard, "", 0),
	})
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	c := imaptest.DialTCP(t, listener.Addr().String())
	conn := c.Conn.(*net.TCPConn)
	if secure {
		c.Cmd("s STARTTLS")
		c = imaptest.NewConn(t, tls.Client(conn, imaptest.ClientTLS()))
	}
	c.Cmd("l LOGIN karen pass")
	c.Cmd("s SELECT INBOX")
	return conn, c
}
