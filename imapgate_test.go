package imapgate_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/layers"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/vfolders"
)

const bye = "* BYE [UNAVAILABLE] The server is shutting down"

// slow is a session whose commands take a minute. It reports when a command begins, and when the
// session is closed.
type slow struct {
	imaptest.Stub
	begun  chan string
	closed *sync.WaitGroup
	open   *atomic.Int32
}

func (s slow) work(command string) {
	s.begun <- command
	time.Sleep(time.Minute)
}

func (s slow) Append(
	mailbox string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	s.work("APPEND")
	return s.Stub.Append(mailbox, r, options)
}

func (s slow) Copy(numSet imap.NumSet, dest string) (*imap.CopyData, error) {
	s.work("COPY")
	return s.Stub.Copy(numSet, dest)
}

func (s slow) Fetch(w *imapserver.FetchWriter, _ imap.NumSet, _ *imap.FetchOptions) error {
	s.work("FETCH")
	m := w.CreateMessage(1)
	m.WriteUID(1)
	return m.Close()
}

func (s slow) Close() error {
	time.Sleep(time.Second)
	s.open.Add(-1)
	s.closed.Done()
	return nil
}

// slowServer must be called in a bubble.
func slowServer(t *testing.T, options imapgate.Options) (*imapgate.Server, *imaptest.Server, slow) {
	backend := slow{begun: make(chan string, 10), closed: &sync.WaitGroup{}, open: &atomic.Int32{}}
	options.Server.NewSession = func(*imapserver.Conn) (
		imapserver.Session, *imapserver.GreetingData, error,
	) {
		backend.closed.Add(1)
		backend.open.Add(1)
		return backend, nil, nil
	}
	options.Server.InsecureAuth = true
	server, err := imapgate.NewServer(&options)
	require.NoError(t, err)
	return server, imaptest.Run(t, server), backend
}

// Running commands are completed, whatever the other clients do, and every client reads a BYE.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, memory, backend := slowServer(t, imapgate.Options{
			Limits: &limits.Options{MaxFetchesPerUser: 1, FetchQueueTimeout: time.Hour},
		})
		fresh := memory.Dial()
		fresh.Line()
		halfway := memory.Login("karen", "pass")
		io.WriteString(halfway.Conn, "a NO")
		authenticating := memory.Dial()
		authenticating.Line()
		authenticating.Send("a AUTHENTICATE PLAIN")
		assert.Equal(t, "+ ", authenticating.Line())
		idling := memory.Login("karen", "pass")
		idling.Send("a IDLE")
		assert.Equal(t, "+ idling", idling.Line())
		appending, copying := memory.Login("karen", "pass"), memory.Login("karen", "pass")
		appending.Send("a APPEND x {6}")
		assert.Equal(t, "+ Ready for literal data", appending.Line())
		assert.Equal(t, "APPEND", <-backend.begun)
		copying.Cmd("a SELECT x")
		copying.Send("a COPY 1 y", "b NOOP")
		assert.Equal(t, "COPY", <-backend.begun)
		fetching, waiting := memory.Login("karen", "pass"), memory.Login("karen", "pass")
		for _, c := range []*imaptest.Conn{fetching, waiting} {
			c.Cmd("a SELECT x")
			c.Send("a FETCH 1 UID")
			synctest.Wait()
		}

		start := time.Now()
		done := make(chan error, 1)
		go func() {
			err := server.Shutdown(context.Background())
			assert.Zero(t, backend.open.Load(), "sessions that are not closed")
			done <- err
		}()
		synctest.Wait()
		for name, c := range map[string]*imaptest.Conn{
			"fresh": fresh, "halfway": halfway, "authenticating": authenticating, "idling": idling,
		} {
			assert.Equal(t, []string{bye}, c.Rest(), name)
			c.Close()
		}
		assert.Zero(t, time.Since(start))
		appending.Send("hello\n", "")
		for c, want := range map[*imaptest.Conn]string{
			appending: "a OK APPEND completed", copying: "a OK COPY completed",
		} {
			assert.Equal(t, []string{want, bye}, c.Rest())
			c.Close()
			assert.Equal(t, time.Minute, time.Since(start))
		}
		for i, c := range []*imaptest.Conn{fetching, waiting} {
			assert.Equal(t, []string{"* 1 FETCH (UID 1)", "a OK FETCH completed", bye}, c.Rest())
			c.Close()
			assert.Equal(t, time.Duration(i+1)*time.Minute, time.Since(start))
		}
		assert.NoError(t, <-done)
		assert.Equal(t, 2*time.Minute+time.Second, time.Since(start))
		assert.ErrorContains(t, server.Serve(imaptest.Listen()), "closed")
		assert.NoError(t, server.Shutdown(context.Background()))
		assert.NoError(t, server.Close())
	})
}

// All sessions are closed when Shutdown returns, also those that were idle.
func TestShutdownWaitsForSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, memory, backend := slowServer(t, imapgate.Options{})
		c := memory.Login("karen", "pass")
		go func() {
			c.Rest()
			c.Close()
		}()
		assert.NoError(t, server.Shutdown(context.Background()))
		assert.Zero(t, backend.open.Load())
	})
}

// Neither a client that is silent in its handshake nor one that never stops sending delays
// Shutdown.
func TestShutdownWithClientsThatDoNotHelp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, err := imapgate.NewServer(&imapgate.Options{Server: imapserver.Options{
			NewSession: imaptest.Memory(imaptest.User("karen")), TLSConfig: imaptest.ServerTLS(),
		}})
		require.NoError(t, err)
		plain, secure := imaptest.Listen(), imaptest.Listen()
		go server.Serve(plain)
		go server.Serve(tls.NewListener(secure, imaptest.ServerTLS()))
		silent, err := secure.Dial()
		require.NoError(t, err)
		flooding, err := plain.Dial()
		require.NoError(t, err)
		go func() {
			for {
				if _, err := io.WriteString(flooding, "a NOOP\r\n"); err != nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		}()
		go io.Copy(io.Discard, flooding)
		time.Sleep(time.Second)
		start := time.Now()
		assert.NoError(t, server.Shutdown(context.Background()))
		assert.LessOrEqual(t, time.Since(start), 2*time.Second)
		_, err = silent.Read(make([]byte, 1))
		assert.Error(t, err)
		time.Sleep(time.Second) // until the flooding goroutine has seen it
	})
}

// A client whose command is not completed by the deadline is cut off. It gets an answer if its
// command was queued.
func TestShutdownUntilADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, memory, backend := slowServer(t, imapgate.Options{
			Limits: &limits.Options{MaxFetchesPerUser: 1, FetchQueueTimeout: time.Hour},
		})
		fetching, waiting := memory.Login("karen", "pass"), memory.Login("karen", "pass")
		for _, c := range []*imaptest.Conn{fetching, waiting} {
			c.Cmd("a SELECT x")
			c.Send("a FETCH 1 UID")
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		start := time.Now()
		done := make(chan error, 1)
		go func() { done <- server.Shutdown(ctx) }()
		assert.Equal(t, []string{"a NO [UNAVAILABLE] The server is shutting down", bye}, waiting.Rest())
		assert.Equal(t, 10*time.Second, time.Since(start))
		waiting.Close()
		assert.Empty(t, fetching.Rest())
		assert.ErrorIs(t, <-done, context.DeadlineExceeded)
		assert.Equal(t, 11*time.Second, time.Since(start))
		backend.closed.Wait()
	})
}

// SetOptions reaches all four packages: limits at once, the others with the next connection.
func TestSetOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := &imapgate.Options{Server: imapserver.Options{
			NewSession:   imaptest.Memory(imaptest.User("karen", "#users/bob/Work", "Archive")),
			InsecureAuth: true, Caps: imaptest.MemoryCaps(),
		}}
		server, err := imapgate.NewServer(options)
		require.NoError(t, err)
		memory := imaptest.Run(t, server)
		before := memory.Login("karen", "pass")
		copied := func(c *imaptest.Conn) string { // returns the flags of a copy
			assert.True(
				t,
				imaptest.IsOK(c.Cmd("a APPEND INBOX (\\Flagged) {20+}\r\nSubject: x\r\n\r\nhello\n")),
			)
			c.Cmd("a SELECT INBOX")
			assert.True(t, imaptest.IsOK(c.Cmd("a COPY * Archive")))
			c.Cmd("a SELECT Archive")
			flags := c.Cmd("a FETCH * FLAGS")[0]
			c.Cmd("a UNSELECT")
			return flags
		}
		folders := func(c *imaptest.Conn) string { return strings.Join(c.Cmd(`a LIST "" *`), "\n") }
		assert.NotContains(t, folders(before), `"#users"`)
		assert.Contains(t, strings.ToLower(copied(before)), `\flagged`)

		options.Limits = limits.DefaultOptions()
		options.Limits.MaxCommandBytes = 100
		options.Idle = &idle.Options{Mode: idle.Off}
		options.Folders = &vfolders.Options{Prefixes: []string{"#users"}}
		options.Copy = &copymeta.Options{Flags: copymeta.Reset}
		require.NoError(t, server.SetOptions(options))
		after := memory.Login("karen", "pass")
		for _, c := range []*imaptest.Conn{before, after} {
			assert.Equal(
				t, "NO [LIMIT] The command is too large",
				imaptest.Last(c.Cmd("b CREATE "+strings.Repeat("x", 200))),
			)
		}
		assert.NotContains(t, folders(before), `"#users"`)
		assert.Contains(t, folders(after), `"#users"`)
		assert.NotContains(t, strings.ToLower(copied(after)), `\flagged`)
		assert.Equal(t, "BAD Unknown command", imaptest.Last(after.Cmd("c IDLE")))
		before.Send("c IDLE")
		assert.Equal(t, "+ idling", before.Line())

		options.Copy = &copymeta.Options{MaxBytes: -1}
		assert.EqualError(
			t, server.SetOptions(options), "imapgate: Copy: copymeta: MaxBytes is -1, which is negative",
		)
		assert.EqualValues(t, 100, server.Limiter().Options().MaxCommandBytes)
		assert.Error(t, server.SetOptions(nil))
		server.Close()
	})
}

// SetOptions does not forget which names have been mailboxes: a client may have copies of their
// mail.
func TestSetOptionsKeepsTheHistory(t *testing.T) {
	user := imaptest.User("karen", "a", "a/x", "b", "b/x", "c", "c/x")
	given := &vfolders.History{}
	for name, first := range map[string]*vfolders.Options{
		"the server's":       {},
		"the options'":       {History: given},
		"in another mode":    {Mode: vfolders.NoSelect},
		"with other options": {Prefixes: []string{"a", "b"}},
	} {
		options := &imapgate.Options{
			Server:  imapserver.Options{NewSession: imaptest.Memory(user), InsecureAuth: true},
			Folders: first,
		}
		server, err := imapgate.NewServer(options)
		require.NoError(t, err)
		memory := imaptest.Run(t, server)
		before := memory.Login("karen", "pass")
		assert.True(t, imaptest.IsOK(before.Cmd("a STATUS a (MESSAGES)")))
		set := func(folders *vfolders.Options) {
			options.Folders = folders
			require.NoError(t, server.SetOptions(options))
		}
		set(nil)
		set(&vfolders.Options{})
		after := memory.Login("karen", "pass")
		assert.True(t, imaptest.IsOK(after.Cmd("a STATUS b (MESSAGES)")))
		require.NoError(t, user.Delete("a"))
		require.NoError(t, user.Delete("b"))
		list := func(c *imaptest.Conn) []string { return c.Cmd(`a LIST "" (a b)`) }
		const isKnown, isNot = `* LIST (\Noselect \HasChildren) "/" `, `* LIST (\HasChildren) "/" `
		assert.Equal(t, []string{isKnown + `"a"`, isKnown + `"b"`}, list(after)[:2], name)
		if first.Mode == vfolders.Selectable {
			assert.Equal(t, []string{isKnown + `"a"`, isKnown + `"b"`}, list(before)[:2], name)
		}
		set(&vfolders.Options{History: &vfolders.History{}})
		other := memory.Login("karen", "pass")
		assert.Equal(t, []string{isNot + `"a"`, isNot + `"b"`}, list(other)[:2], name)
		require.NoError(t, user.Create("a", nil))
		require.NoError(t, user.Create("b", nil))
		server.Close()
	}
	// The History that was given to a server is known to another.
	require.NoError(t, user.Delete("a"))
	server, err := imapgate.NewServer(&imapgate.Options{
		Server:  imapserver.Options{NewSession: imaptest.Memory(user), InsecureAuth: true},
		Folders: &vfolders.Options{History: given},
	})
	require.NoError(t, err)
	c := imaptest.Run(t, server).Login("karen", "pass")
	assert.Equal(t, `* LIST (\Noselect \HasChildren) "/" "a"`, c.Cmd(`a LIST "" a`)[0])
}

func TestWrongOptions(t *testing.T) {
	newSession := imaptest.Memory()
	for want, options := range map[string]*imapgate.Options{
		"imapgate: the options are nil":      nil,
		"imapgate: Server.NewSession is nil": {},
		"imapgate: Server.Caps has neither IMAP4rev1 nor IMAP4rev2": {
			Server: imapserver.Options{NewSession: newSession, Caps: imap.CapSet{imap.CapMove: {}}},
		},
		"MaxFetches is -1": {
			Server: imapserver.Options{NewSession: newSession}, Limits: &limits.Options{MaxFetches: -1},
		},
		"imapgate: Idle: idle: Mode is 7, which is none of On, Poll and Off": {
			Server: imapserver.Options{NewSession: newSession}, Idle: &idle.Options{Mode: 7},
		},
		`imapgate: Folders: vfolders: Options.Prefixes contains ""`: {
			Server:  imapserver.Options{NewSession: newSession},
			Folders: &vfolders.Options{Prefixes: []string{""}},
		},
		"imapgate: Copy: copymeta: MaxMemory is -1": {
			Server: imapserver.Options{NewSession: newSession}, Copy: &copymeta.Options{MaxMemory: -1},
		},
	} {
		server, err := imapgate.NewServer(options)
		assert.Nil(t, server)
		assert.ErrorContains(t, err, want)
	}
}

func TestListenAndServe(t *testing.T) {
	options := &imapgate.Options{Server: imapserver.Options{NewSession: imaptest.Memory()}}
	server, err := imapgate.NewServer(options)
	require.NoError(t, err)
	assert.EqualError(t, server.ListenAndServeTLS("127.0.0.1:0"), "imapgate: Server.TLSConfig is nil")
	assert.Error(t, server.ListenAndServe("127.0.0.1:x"))
	options.Server.TLSConfig = &tls.Config{}
	empty, err := imapgate.NewServer(options)
	require.NoError(t, err)
	defer time.AfterFunc(time.Minute, func() { empty.Close() }).Stop() // it must not serve for ever
	assert.ErrorContains(t, empty.ListenAndServeTLS("127.0.0.1:0"), "Certificates")
	options.Server.TLSConfig = imaptest.ServerTLS()
	server, err = imapgate.NewServer(options)
	require.NoError(t, err)
	assert.Error(t, server.ListenAndServeTLS("127.0.0.1:x"))
	var served sync.WaitGroup
	served.Go(func() { assert.NoError(t, server.ListenAndServe("127.0.0.1:0")) })
	served.Go(func() { assert.NoError(t, server.ListenAndServeTLS("127.0.0.1:0")) })
	time.AfterFunc(100*time.Millisecond, func() { server.Close() })
	served.Wait()
}

// opaque is a connection around TLS that is not a tls.Conn, but has NetConn.
type opaque struct{ net.Conn }

func (o opaque) NetConn() net.Conn { return o.Conn }

// hiding is such a connection without NetConn.
type hiding struct{ net.Conn }

type wrapping struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (w wrapping) Accept() (net.Conn, error) {
	conn, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return w.wrap(conn), nil
}

// A connection whose NetConn leads to a tls.Conn counts as encrypted. One without NetConn does not.
func TestAWrapperAroundTLS(t *testing.T) {
	for want, wrap := range map[string]func(net.Conn) net.Conn{
		"OK":                    func(conn net.Conn) net.Conn { return opaque{conn} },
		"NO [PRIVACYREQUIRED] ": func(conn net.Conn) net.Conn { return hiding{conn} },
	} {
		var seen net.Conn
		server, err := imapgate.NewServer(&imapgate.Options{Server: imapserver.Options{
			NewSession: func(c *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				seen = c.NetConn()
				return imaptest.Stub{}, nil, nil
			},
		}})
		require.NoError(t, err)
		ln := imaptest.Listen()
		go server.Serve(&wrapping{tls.NewListener(ln, imaptest.ServerTLS()), wrap})
		conn, err := ln.Dial()
		require.NoError(t, err)
		c := imaptest.NewConn(t, tls.Client(conn, imaptest.ClientTLS()))
		c.Line()
		assert.Contains(t, imaptest.Last(c.Cmd("a LOGIN karen pass")), want)
		_, found := layers.Find[*tls.Conn](seen)
		assert.Equal(t, want == "OK", found)
		server.Close()
	}
}

// telling is a session that uses its connection as the packages do.
type telling struct {
	imaptest.Stub
	conn     net.Conn
	readOnly bool
	answered chan struct{}
}

func (s *telling) Select(name string, options *imap.SelectOptions) (*imap.SelectData, error) {
	if s.readOnly {
		hook, ok := layers.Find[interface{ ReadOnlyNext() }](s.conn)
		if !ok {
			return nil, errors.New("no hook")
		}
		hook.ReadOnlyNext()
	}
	if name == "missing" {
		return nil, &imap.Error{Type: imap.StatusResponseTypeNo, Text: "[READ-WRITE] none"}
	}
	return s.Stub.Select(name, options)
}

func (s *telling) Login(string, string) error {
	hook, ok := layers.Find[interface{ AfterAnswer(func()) }](s.conn)
	if !ok {
		return errors.New("no hook")
	}
	hook.AfterAnswer(func() {
		io.WriteString(s.conn, "* OK after\r\n")
		close(s.answered)
	})
	time.Sleep(time.Second)
	return nil
}

func TestWhatSessionsAskOfTheWire(t *testing.T) {
	for _, login := range []string{"a LOGIN u p", "a AUTHENTICATE PLAIN AHUAcA=="} {
		synctest.Test(t, func(t *testing.T) {
			s := &telling{answered: make(chan struct{})}
			server, err := imapgate.NewServer(&imapgate.Options{Server: imapserver.Options{
				NewSession: func(c *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
					s.conn = c.NetConn()
					return s, nil, nil
				},
				InsecureAuth: true,
			}})
			require.NoError(t, err)
			c := imaptest.Run(t, server).Dial()
			c.Line()
			assert.True(t, imaptest.IsOK(c.Cmd(login)))
			<-s.answered
			assert.Equal(t, "* OK after", c.Line())

			s.readOnly = true
			assert.Equal(t, "OK [READ-ONLY] SELECT completed", imaptest.Last(c.Cmd("b SELECT x")))
			assert.Equal(t, "NO [READ-WRITE] none", imaptest.Last(c.Cmd("c SELECT missing")))
			s.readOnly = false
			assert.Equal(t, "OK [READ-WRITE] SELECT completed", imaptest.Last(c.Cmd("d SELECT x")))
			s.readOnly = true
			assert.Equal(t, "OK [READ-ONLY] EXAMINE completed", imaptest.Last(c.Cmd("e EXAMINE x")))
			s.readOnly = false
			assert.Equal(t, "OK [READ-WRITE] SELECT completed", imaptest.Last(c.Cmd("f SELECT x")))
			early, _ := layers.Find[interface{ ReadOnlyNext() }](s.conn)
			early.ReadOnlyNext()
			assert.Equal(t, "OK NOOP completed", imaptest.Last(c.Cmd("g NOOP")))
			assert.Equal(t, "OK [READ-WRITE] SELECT completed", imaptest.Last(c.Cmd("h SELECT x")))

			// If no command runs, AfterAnswer calls the function at once.
			called := make(chan struct{})
			hook, _ := layers.Find[interface{ AfterAnswer(func()) }](s.conn)
			hook.AfterAnswer(func() { close(called) })
			<-called
			server.Close()
		})
	}
}
