package attack_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

const noUserLogins = "NO [LIMIT] Too many logins for this user"

// A backend that is not strict finds karen under each of these names.
func TestAUserNameThatCountsApart(t *testing.T) {
	for _, name := range []string{
		"KAREN", "kAREN", " karen", "karen\t", "\u00a0karen\u3000", "\u212aaren",
		"\uff4b\uff41\uff52\uff45\uff4e", "\uff2baren",
	} {
		for _, m := range mechanisms[1:] {
			t.Run(fmt.Sprintf("%q by %s", name, m.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := attackable(t, &limits.Options{MaxLoginsPerUser: 1})
					s.login(here, "karen")
					answer, _ := m.try(s.dialFrom(here), name, "pass")
					assert.Equal(t, noUserLogins, answer)
					assert.EqualValues(t, 1, s.checks.Load())
				})
			})
		}
	}
}

// The limits count under the name that the backend returns, whatever spelling of the account the
// client uses, and whoever it claims to act as.
func TestAnAliasThatCountsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := &limits.Options{
			MaxLoginsPerUser: 2,
			Username:         func(session imapserver.Session) string { return session.(*siteSession).user },
		}
		s := attackable(t, options)
		plain := func(identity, user string) string {
			m := mechanism{
				"PLAIN",
				func(user, password string) []string {
					return []string{identity + "\x00" + user + "\x00" + password}
				},
			}
			answer, _ := m.try(s.dialFrom(here), user, "pass")
			return answer
		}
		for i, want := range []string{"OK", "OK", noUserLogins, noUserLogins} {
			assert.Contains(t, plain(fmt.Sprint("somebody", i), "mallory"), want)
		}
		assert.Equal(t, noUserLogins, plain("karen", "mallory"))
		for range 2 {
			assert.Contains(t, plain("", "karen"), "OK", "mallory has taken none of karen's")
		}
	})
}

func TestAnAddressThatCountsApart(t *testing.T) {
	for name, addresses := range map[string][]string{
		"IPv4 in IPv6": {"192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201"},
		"IPv6 privacy addresses": {
			"2001:db8:1:2:3::1", "2001:db8:1:2:ab12:cd34:ef56:7890", "2001:db8:1:2:ffff:ffff:ffff:ffff",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := attackable(t, &limits.Options{MaxConnectionsPerIP: 1})
				s.dialFrom(addresses[0])
				for _, address := range addresses {
					assert.Equal(
						t, "* BYE [LIMIT] Too many connections from this address!",
						imaptest.NewConn(t, s.DialFrom(address)).Line(),
					)
				}
			})
		})
	}
}

// The checks of one user's password run one at a time for a network, whatever spelling the client
// uses, and from whatever address of the network.
func TestPasswordGuessingByKeysThatCountApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := attackable(t, limits.DefaultOptions())
		for i, name := range []string{"karen", "KAREN", "\uff4baren", "\u212aaren", " karen "} {
			c := s.dialFrom(fmt.Sprintf("2001:db8:1:2::%x", i))
			c.Send(fmt.Sprintf("a LOGIN {%d+}\r\n%s guess", len(name), name))
		}
		synctest.Wait()
		assert.Equal(t, 1, s.limiter.Stats().LoginChecks)
		assert.Equal(t, 4, s.limiter.Stats().LoginsWaiting)
	})
}
