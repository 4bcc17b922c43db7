package limits

import (
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
)

// nobody is a session that lets nobody log in.
type nobody struct{ imaptest.Stub }

func (nobody) Login(string, string) error       { return imapserver.ErrAuthFailed }
func (nobody) AuthenticateMechanisms() []string { return []string{"PLAIN"} }

func (n nobody) Authenticate(string) (sasl.Server, error) {
	return sasl.NewPlainServer(
		func(_, username, password string) error { return n.Login(username, password) },
	), nil
}

// held returns how many entries the limiter has for users and addresses, and how many bytes of
// names.
func (l *Limiter) held() (entries, names int) {
	entries = l.logins.Entries() + l.keys.Len() + l.flights.Entries()
	for _, s := range l.sessions.all() {
		names += len(s.identity.Load().user) + len(s.user) + len(s.account.name)
		if s.exchange != nil {
			names += len(s.exchange.(*exchange).user)
		}
	}
	return entries, names
}

// While the connections are open, the limiter holds nothing for the names that were tried on them.
// After they are closed, it holds nothing at all.
func TestGrowingMemoryByNamesAndAddresses(t *testing.T) {
	long := strings.Repeat("x", 20_000)
	for name, test := range map[string]struct{ user, address string }{
		"unknown users":       {"user%d", "203.0.113.9"},
		"user names of 50 KB": {long + long + "%d", "203.0.113.9"},
		"addresses":           {"karen", "2001:db8:0:%x::1"},
	} {
		for way, login := range map[string]func(user string) string{
			"LOGIN": func(user string) string { return `a LOGIN "` + user + `" guess` },
			"AUTHENTICATE": func(user string) string {
				message := []byte("\x00" + user + "\x00guess")
				return "a AUTHENTICATE PLAIN " + base64.StdEncoding.EncodeToString(message)
			},
		} {
			t.Run(name+" by "+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					limiter := New(DefaultOptions())
					server := imaptest.NewServer(
						t,
						&imapserver.Options{InsecureAuth: true, NewSession: limiter.Wrap(
							func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
								return nobody{}, nil, nil
							})},
					)
					for i := range 200 {
						number := func(format string) string {
							if !strings.Contains(format, "%") {
								return format
							}
							return fmt.Sprintf(format, i)
						}
						user := number(test.user)
						if way == "AUTHENTICATE" {
							user = strings.Replace(user, long, "", 1) // the rest of the line is for base64
						}
						c := imaptest.NewConn(t, server.DialFrom(number(test.address)))
						c.Line()
						assert.Equal(
							t, "NO [AUTHENTICATIONFAILED] Authentication failed", imaptest.Last(c.Cmd(login(user))),
						)
					}
					synctest.Wait()
					entries, names := limiter.held()
					assert.Zero(t, entries)
					assert.Zero(t, names)
					server.Close()
					synctest.Wait()
					assert.Empty(t, limiter.sessions.all())
					assert.Zero(t, limiter.connections.Entries())
				})
			})
		}
	}
}

func TestAnAddressThatCountsApartByItsZone(t *testing.T) {
	const want = "fe80::1"
	for _, addr := range []net.Addr{
		&net.TCPAddr{IP: net.ParseIP(want), Zone: "eth0", Port: 143},
		&net.IPAddr{IP: net.ParseIP(want), Zone: "eth1"}, text("[fe80::1%2]:143"),
		text("fe80::1%eth0"), text("FE80:0:0:0:0:0:0:1"),
	} {
		assert.Equal(t, want, addrPort(addr).Addr().String(), addr.String())
	}
}

// text is an address that is not one of package net.
type text string

func (t text) Network() string { return "tcp" }
func (t text) String() string  { return string(t) }
