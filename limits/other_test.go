package limits_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// others are the commands that share the third queue.
var others = []string{
	"SELECT a", "EXAMINE a", "STATUS a (MESSAGES)", `LIST "" *`, `LSUB "" *`, "NAMESPACE",
	"APPEND a {3+}\r\nabc", "COPY 1 a", "UID COPY 1 a", "MOVE 1 a", "UID MOVE 1 a",
	`STORE 1 FLAGS (\Seen)`, "EXPUNGE", "UID EXPUNGE 1", "CLOSE", "CREATE a", "DELETE a", "RENAME a b",
	"SUBSCRIBE a", "UNSUBSCRIBE a",
}

// recorder keeps events.
type recorder struct {
	mu     sync.Mutex
	events []limits.Event
}

func (r *recorder) add(e limits.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) all() []limits.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// examined logs in and opens INBOX.
func (s *server) examined(user string) *imaptest.Conn {
	c, answer := s.login("192.0.2.1", user)
	assert.Contains(s.t, answer, "OK")
	c.Cmd("s EXAMINE INBOX")
	return c
}

func TestEachOtherCommandNeedsASlot(t *testing.T) {
	for _, other := range others {
		t.Run(other, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told recorder
				options := &limits.Options{MaxCommandsPerUser: 1, CommandQueueTimeout: 70 * time.Second}
				options.OnEvent = told.add
				s := serveSessions(t, &backend{}, newSlow, options)
				first, second, third := s.examined("karen"), s.examined("karen"), s.examined("karen")
				start := time.Now()
				for _, c := range []*imaptest.Conn{first, second, third} {
					c.Send("x " + other)
					synctest.Wait()
				}
				s.commandsInUse(limits.Stats{Commands: 1, CommandsWaiting: 2})
				assert.True(t, imaptest.IsOK(first.Answer("x")))
				assert.Equal(t, noCommands, imaptest.Last(third.Answer("x")))
				assert.Equal(t, 70*time.Second, time.Since(start))
				assert.True(t, imaptest.IsOK(second.Answer("x")))
				assert.Equal(t, 2*time.Minute, time.Since(start))
				s.commandsInUse(limits.Stats{})
				assert.EqualValues(t, 1, s.limiter.Stats().Refused.Commands)

				events := told.all()
				require.Len(t, events, 2)
				name, _, _ := strings.Cut(strings.TrimPrefix(other, "UID "), " ")
				name = strings.NewReplacer("LSUB", "LIST", "CLOSE", "EXPUNGE").Replace(name)
				assert.Equal(t, name, events[0].Command)
				assert.Equal(t, limits.EventAdmitted, events[0].Kind)
				assert.Equal(t, limits.EventTimedOut, events[1].Kind)
				assert.Equal(t, "MaxCommandsPerUser", events[1].Limit)
				assert.Equal(t, 70*time.Second, events[1].RetryAfter)
			})
		})
	}
}

func TestSlotsComeBackHoweverAnotherCommandEnds(t *testing.T) {
	for name, do := range map[string]func() error{
		"error": func() error { return errors.New("disk failure") },
		"panic": func() error { panic("broken") },
	} {
		for _, other := range others {
			t.Run(other+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := serveSessions(
						t, &backend{},
						func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
							return slow{do: do}, nil, nil
						},
						&limits.Options{MaxCommands: 1},
					)
					for range 2 {
						c := s.examined("karen")
						c.Send("x " + other)
						c.Close()
					}
					synctest.Wait()
					s.commandsInUse(limits.Stats{})
				})
			})
		}
	}
}

// One user's hundreds of STATUS commands on many connections do not delay another user's SELECT.
func TestAFolderListIsNotInTheWayOfAnotherUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(time.Second)
		options := limits.DefaultOptions()
		options.MaxCommands = 10
		s := serve(t, &backend{status: w.do}, options)
		for range 20 {
			c, _ := s.login("192.0.2.1", "karen")
			c.Send(strings.TrimSuffix(strings.Repeat("x STATUS a (UIDNEXT)\r\n", 15), "\r\n"))
		}
		synctest.Wait()
		s.commandsInUse(limits.Stats{Commands: 10, CommandsWaiting: 10})
		bob, _ := s.login("192.0.2.2", "bob")
		took := elapsed(func() { assert.True(t, imaptest.IsOK(bob.Cmd("b SELECT INBOX"))) })
		assert.Equal(t, time.Second, took, "one slot")
		time.Sleep(time.Minute)
		w.mu.Lock()
		defer w.mu.Unlock()
		assert.Equal(t, 10, w.mostOfOneUser)
	})
}

func TestSomeCommandsNeverWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{status: newWork(10 * time.Minute).do}
		s := serveSessions(
			t, b,
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return unauthenticating{&backendSession{backend: b}}, nil, nil
			},
			&limits.Options{MaxCommands: 1},
		)
		c := s.selected("karen")
		other, _ := s.login("192.0.2.1", "karen")
		other.Send("x STATUS a (UIDNEXT)")
		synctest.Wait()
		start := time.Now()
		assert.True(t, imaptest.IsOK(c.Cmd("a NOOP")))
		assert.True(t, imaptest.IsOK(c.Cmd("a CHECK")))
		assert.True(t, imaptest.IsOK(c.Cmd("a FETCH 1 FLAGS")), "it has a queue of its own")
		assert.True(t, imaptest.IsOK(c.Cmd("a SEARCH ALL")), "it has, too")
		c.Send("a IDLE")
		assert.Equal(t, "+ idling", c.Line())
		c.Send("DONE")
		assert.True(t, imaptest.IsOK(c.Answer("a")))
		assert.True(t, imaptest.IsOK(c.Cmd("a UNSELECT")))
		assert.True(t, imaptest.IsOK(c.Cmd("a ENABLE IMAP4rev2")))
		assert.True(t, imaptest.IsOK(c.Cmd("a UNAUTHENTICATE")))
		assert.True(t, imaptest.IsOK(c.Cmd("a LOGIN bob pass")))
		assert.True(t, imaptest.IsOK(c.Cmd("a LOGOUT")))
		assert.Zero(t, time.Since(start))
	})
}

// The server gives the client of an APPEND five minutes to send the message, from its announcement.
// The wait for a turn must not reduce them.
func TestAnAppendHasItsFiveMinutesWhenItsTurnComes(t *testing.T) {
	for name, test := range map[string]struct {
		wait    time.Duration
		timeout time.Duration
		want    string
	}{
		"admitted": {4 * time.Minute, time.Hour, "x OK APPEND completed"},
		"refused":  {time.Hour, 4 * time.Minute, "x " + noCommands},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(
					t, &backend{status: newWork(test.wait).do},
					&limits.Options{
						MaxCommands: 1, CommandQueueTimeout: test.timeout, ProgressInterval: 70 * time.Second,
					},
				)
				other, _ := s.login("192.0.2.1", "karen")
				other.Send("x STATUS a (UIDNEXT)")
				synctest.Wait()
				c, _ := s.login("192.0.2.1", "karen")
				c.Send("x APPEND INBOX {300000}")
				assert.Contains(t, c.Line(), "+ ")
				time.Sleep(4*time.Minute - time.Second)
				assert.Equal(t, inQueue, c.Line(), "while it waits it is told so")
				assert.Equal(t, limits.SessionInfo{
					ID: 2, User: "karen", Addr: s.limiter.Sessions()[1].Addr, LoggedIn: true,
					Connected: time.Now().Add(-4*time.Minute + time.Second), Command: "APPEND", Waiting: true,
					Since: time.Now().Add(-4*time.Minute + time.Second),
				}, s.limiter.Sessions()[1])
				time.Sleep(5 * time.Minute) // one second less than five minutes after its turn
				c.Send(strings.Repeat("a", 300000))
				answer := c.Answer("x")
				assert.Equal(t, []string{inQueue, inQueue, test.want}, answer)
				s.limiter.SetOptions(nil)
			})
		})
	}
}

// While an APPEND waits, no part of its message is read: it stays with the client.
func TestAnAppendThatWaitsTakesNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(
			t, &backend{status: newWork(30 * time.Second).do},
			&limits.Options{MaxCommands: 1, CommandQueueTimeout: 40 * time.Second},
		)
		other, _ := s.login("192.0.2.1", "karen")
		other.Send("x STATUS a (UIDNEXT)")
		synctest.Wait()
		c, _ := s.login("192.0.2.1", "karen")
		c.Send("x APPEND INBOX {3000000}")
		c.Line()
		start := time.Now()
		c.Send(strings.Repeat("a", 3000000)) // returns when all is read
		assert.Equal(t, 30*time.Second, time.Since(start))
		assert.True(t, imaptest.IsOK(c.Answer("x")))
	})
}

// A waiting SELECT has closed the mailbox that was selected, like a SELECT that fails.
func TestASelectThatIsRefusedLeavesNoMailboxSelected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(
			t, &backend{status: newWork(10 * time.Minute).do},
			&limits.Options{MaxCommands: 1, CommandQueueTimeout: 40 * time.Second},
		)
		c := s.selected("karen")
		other, _ := s.login("192.0.2.1", "karen")
		other.Send("x STATUS a (UIDNEXT)")
		synctest.Wait()
		took := elapsed(func() {
			assert.Equal(
				t, []string{"* OK [CLOSED] Previous mailbox is now closed", "a " + noCommands},
				c.Cmd("a SELECT Work"),
			)
		})
		assert.Equal(t, 40*time.Second, took)
		assert.Contains(t, imaptest.Last(c.Cmd("b FETCH 1 FLAGS")), "BAD")
	})
}
