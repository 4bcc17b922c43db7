package limits_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// backend is the backend of the tests. Any user with the password "pass" may log in, and a test can
// set what a command does.
type backend struct {
	login  func(username, password string) error
	fetch  func(user string) error
	search func(user string) error
	status func(user string) error
	close  func() error

	connections, checks, fetches, searches, closes atomic.Int64
}

func (b *backend) NewSession(
	*imapserver.Conn,
) (imapserver.Session, *imapserver.GreetingData, error) {
	b.connections.Add(1)
	return &backendSession{backend: b}, nil, nil
}

type backendSession struct {
	imaptest.Stub
	backend *backend
	user    string
}

func (s *backendSession) Login(username, password string) error {
	s.backend.checks.Add(1)
	if s.backend.login != nil {
		if err := s.backend.login(username, password); err != nil {
			return err
		}
	} else if password != "pass" {
		return imapserver.ErrAuthFailed
	}
	s.user = username
	return nil
}

func (s *backendSession) Fetch(*imapserver.FetchWriter, imap.NumSet, *imap.FetchOptions) error {
	s.backend.fetches.Add(1)
	if s.backend.fetch != nil {
		return s.backend.fetch(s.user)
	}
	return nil
}

func (s *backendSession) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	s.backend.searches.Add(1)
	if s.backend.search != nil {
		if err := s.backend.search(s.user); err != nil {
			return nil, err
		}
	}
	return s.Stub.Search(kind, criteria, options)
}

func (s *backendSession) Status(
	mailbox string, options *imap.StatusOptions,
) (*imap.StatusData, error) {
	if s.backend.status != nil {
		if err := s.backend.status(s.user); err != nil {
			return nil, err
		}
	}
	return s.Stub.Status(mailbox, options)
}

func (s *backendSession) Close() error {
	s.backend.closes.Add(1)
	if s.backend.close != nil {
		return s.backend.close()
	}
	return nil
}

// unauthenticating is a backend session that supports UNAUTHENTICATE.
type unauthenticating struct{ *backendSession }

func (s unauthenticating) Unauthenticate() error {
	if s.user == "stuck" {
		return &imap.Error{Type: imap.StatusResponseTypeNo, Text: "Not now"}
	}
	s.user = ""
	return nil
}

// saslSession is a backend session with its own SASL mechanisms, each of which is a list of steps.
type saslSession struct {
	*backendSession
	steps map[string]func() sasl.Server
}

func (s saslSession) AuthenticateMechanisms() []string {
	var mechs []string
	for mech := range s.steps {
		mechs = append(mechs, mech)
	}
	return mechs
}

func (s saslSession) Authenticate(mech string) (sasl.Server, error) {
	newServer := s.steps[mech]
	if newServer == nil {
		return nil, &imap.Error{Type: imap.StatusResponseTypeNo, Text: "No such mechanism"}
	}
	return newServer(), nil
}

// server is a limiter around a backend, served over connections in memory.
type server struct {
	*imaptest.Server
	*backend
	t       testing.TB
	limiter *limits.Limiter
}

// serve must be called in a synctest bubble. When the test is over, nothing may be in use any more.
func serve(t testing.TB, b *backend, options *limits.Options) *server {
	return serveSessions(t, b, b.NewSession, options)
}

func serveSessions(
	t testing.TB, b *backend, newSession limits.NewSessionFunc, options *limits.Options,
) *server {
	s := &server{backend: b, t: t, limiter: limits.New(options)}
	t.Cleanup(func() {
		// This runs last, so that a backend that sleeps for a command whose client is gone wakes up
		// before the bubble ends.
		time.Sleep(time.Hour)
		s.inUse(limits.Stats{})
		assert.Zero(t, s.limiter.Stats().ConnectionsEnding)
		assert.Zero(t, s.limiter.Entries(), "entries of maps")
	})
	s.Server = imaptest.NewServer(t, &imapserver.Options{
		NewSession:   s.limiter.Wrap(newSession),
		InsecureAuth: true,
		Caps: imap.CapSet{
			imap.CapIMAP4rev1: {},
		},
	})
	return s
}

// dial connects from the address and reads the greeting.
func (s *server) dial(address string) *imaptest.Conn {
	c := imaptest.NewConn(s.t, s.DialFrom(address))
	greeting := c.Line()
	assert.True(s.t, strings.HasPrefix(greeting, "* OK "), "greeting %q", greeting)
	return c
}

// login connects from the address, logs in with the right password, and returns the connection and
// the answer.
func (s *server) login(address, user string) (*imaptest.Conn, string) {
	c := s.dial(address)
	return c, imaptest.Last(c.Cmd("a LOGIN " + user + " pass"))
}

// selected connects from 192.0.2.1, logs in and selects INBOX.
func (s *server) selected(user string) *imaptest.Conn {
	c, answer := s.login("192.0.2.1", user)
	assert.Contains(s.t, answer, "OK")
	c.Cmd("s SELECT INBOX")
	return c
}

// inUse asserts what is in use and what waits. It ignores refused connections that are not closed
// yet.
func (s *server) inUse(want limits.Stats) {
	s.t.Helper()
	got := s.limiter.Stats()
	got.ConnectionsEnding = 0
	got.Refused, got.Total = limits.Refusals{}, limits.Totals{}
	got.Cluster = limits.ClusterStats{}
	assert.Equal(s.t, want, got)
}

const (
	noUserLogins   = "NO [LIMIT] Too many logins for this user"
	noIPLogins     = "NO [LIMIT] Too many connections from this address!"
	noFetches      = "NO [LIMIT] Too many current FETCHes active"
	noCommands     = "NO [LIMIT] Too many commands active - try again later"
	noSearches     = "NO [LIMIT] Too many concurrent searches - try again later"
	noShuttingDown = "NO [UNAVAILABLE] The server is shutting down"
	authFailed     = "NO [AUTHENTICATIONFAILED] Authentication failed"
)

// elapsed returns how long f takes.
func elapsed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}
