package attack_test

import (
	"encoding/base64"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/vfolders"
)

// Each test is an attack, and is named after it. SECURITY.md has the table of all attacks, also
// those that are tested in a package of their own.

// site is the server that is attacked. It has all four packages around a backend that knows karen,
// bob and mallory. The backend takes a second for each password check, and counts the checks.
type site struct {
	*imaptest.Server
	t       testing.TB
	limiter *limits.Limiter

	checks, atOnce, mostAtOnce atomic.Int64
	fetch, status              func() // called by FETCH and STATUS, if not nil
}

const (
	here      = "192.0.2.1"   // where the users are
	elsewhere = "203.0.113.9" // where the strangers are
	checkTime = time.Second
)

// attackable must be called in a synctest bubble. When the test ends, nothing may be in use.
func attackable(t testing.TB, options *limits.Options) *site {
	s := &site{t: t, limiter: limits.New(options)}
	newSession := copymeta.Wrap(
		func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return &siteSession{site: s}, nil, nil
		},
		&copymeta.Options{Flags: copymeta.Reset},
	)
	newSession = vfolders.Wrap(newSession, nil)
	newSession = idle.Wrap(newSession, &idle.Options{Mode: idle.Poll})
	s.Server = imaptest.NewServer(t, &imapserver.Options{
		NewSession:   s.limiter.Wrap(newSession),
		InsecureAuth: true,
		Caps:         imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapUnauthenticate: {}},
	})
	t.Cleanup(func() {
		s.Close()
		time.Sleep(time.Minute)
		used := s.limiter.Stats()
		used.Refused, used.Total = limits.Refusals{}, limits.Totals{}
		assert.Equal(t, limits.Stats{}, used)
	})
	return s
}

// check is the backend's password check.
func (s *site) check(username, password string) error {
	s.checks.Add(1)
	now := s.atOnce.Add(1)
	most := s.mostAtOnce.Load()
	for now > most && !s.mostAtOnce.CompareAndSwap(most, now) {
		most = s.mostAtOnce.Load()
	}
	time.Sleep(checkTime)
	s.atOnce.Add(-1)
	known := username == "karen" || username == "bob" || username == "mallory"
	if !known || password != "pass" {
		return imapserver.ErrAuthFailed
	}
	return nil
}

// dialFrom connects and reads the greeting.
func (s *site) dialFrom(address string) *imaptest.Conn {
	c := imaptest.NewConn(s.t, s.DialFrom(address))
	assert.Contains(s.t, c.Line(), "* OK")
	return c
}

// login connects from the address and logs in with the right password. It returns the connection
// and the answer.
func (s *site) login(address, user string) (*imaptest.Conn, string) {
	c := s.dialFrom(address)
	return c, imaptest.Last(c.Cmd("login LOGIN " + user + " pass"))
}

// siteSession is a session of the backend that offers every mechanism.
type siteSession struct {
	imaptest.Stub
	site *site
	user string // who is logged in
}

func (s *siteSession) Login(username, password string) error {
	s.user = username
	return s.site.check(username, password)
}

func (s *siteSession) Unauthenticate() error { return nil }

func (s *siteSession) Fetch(*imapserver.FetchWriter, imap.NumSet, *imap.FetchOptions) error {
	if s.site.fetch != nil {
		s.site.fetch()
	}
	return nil
}

func (s *siteSession) Status(
	mailbox string, options *imap.StatusOptions,
) (*imap.StatusData, error) {
	if s.site.status != nil {
		s.site.status()
	}
	return s.Stub.Status(mailbox, options)
}

func (s *siteSession) AuthenticateMechanisms() []string {
	var all []string
	for _, m := range mechanisms {
		if m.name != "LOGIN command" {
			all = append(all, m.name)
		}
	}
	return all
}

func (s *siteSession) Authenticate(mech string) (sasl.Server, error) {
	check := s.Login
	switch mech {
	case "PLAIN": // it ignores the identity to act as
		return sasl.NewPlainServer(
			func(identity, username, password string) error { return check(username, password) },
		), nil
	case "EXTERNAL":
		return sasl.NewExternalServer(
			func(identity string) error { return check(identity, "no certificate") },
		), nil
	case "OAUTHBEARER":
		return sasl.NewOAuthBearerServer(func(o sasl.OAuthBearerOptions) *sasl.OAuthBearerError {
			if check(o.Username, o.Token) != nil {
				return &sasl.OAuthBearerError{Status: "invalid_token"}
			}
			return nil
		}), nil
	case "LOGIN", "XOAUTH2", "SCRAM-SHA-256":
		return &exchange{mech: mech, check: check}, nil
	}
	return nil, &imap.Error{Type: imap.StatusResponseTypeNo, Text: "No such mechanism"}
}

// exchange is the server's side of the mechanisms that go-sasl does not implement. The proof of its
// SCRAM is the password itself.
type exchange struct {
	mech  string
	user  string
	check func(username, password string) error
}

func (e *exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case response == nil:
		return []byte("Username:"), false, nil
	case e.mech == "XOAUTH2":
		user, token, _ := strings.Cut(strings.TrimPrefix(string(response), "user="), "\x01")
		return nil, true, e.check(user, strings.Trim(strings.TrimPrefix(token, "auth=Bearer "), "\x01"))
	case e.user == "":
		_, name, _ := strings.Cut(","+string(response), ",n=") // of SCRAM
		if name == "" {
			name = string(response)
		}
		e.user, _, _ = strings.Cut(name, ",")
		return []byte("Password:"), false, nil
	default:
		_, password, ok := strings.Cut(string(response), "p=")
		if !ok {
			password = string(response)
		}
		return nil, true, e.check(e.user, password)
	}
}

// mechanism is a way to log in: the messages that the client sends after the command.
type mechanism struct {
	name     string
	messages func(user, password string) []string
}

var mechanisms = []mechanism{
	{"LOGIN command", nil},
	{
		"PLAIN",
		func(user, password string) []string { return []string{"\x00" + user + "\x00" + password} },
	},
	{"LOGIN", func(user, password string) []string { return []string{user, password} }},
	{"SCRAM-SHA-256", func(user, password string) []string {
		return []string{"n,,n=" + user + ",r=nonce", "c=biws,r=nonce,p=" + password}
	}},
	{"OAUTHBEARER", func(user, password string) []string {
		return []string{"n,a=" + user + ",\x01auth=Bearer " + password + "\x01\x01", "\x01"}
	}},
	{"XOAUTH2", func(user, password string) []string {
		return []string{"user=" + user + "\x01auth=Bearer " + password + "\x01\x01"}
	}},
	{"EXTERNAL", func(user, password string) []string { return []string{user} }},
}

// try logs in. It returns the tagged answer, and all lines before it.
func (m mechanism) try(c *imaptest.Conn, user, password string) (answer string, all []string) {
	if m.messages == nil {
		all = c.Cmd("a LOGIN " + user + " " + password)
		return imaptest.Last(all), all
	}
	c.Send("a AUTHENTICATE " + m.name)
	messages := m.messages(user, password)
	for {
		line := c.Line()
		all = append(all, line)
		if !strings.HasPrefix(line, "+") || len(messages) == 0 {
			return strings.TrimPrefix(line, "a "), all
		}
		c.Send(base64.StdEncoding.EncodeToString([]byte(messages[0])))
		messages = messages[1:]
	}
}
