package limits_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// finder is a backend in which the nth SEARCH finds the UID n.
type finder struct {
	backend
	took        time.Duration
	uidValidity uint32

	mu       sync.Mutex
	searches int
	search   func(number int) error
}

type finderSession struct {
	backendSession
	finder *finder
}

func (f *finder) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.searches
}

func (f *finder) NewSession(
	*imapserver.Conn,
) (imapserver.Session, *imapserver.GreetingData, error) {
	return &finderSession{backendSession{backend: &f.backend}, f}, nil, nil
}

func (s *finderSession) Select(string, *imap.SelectOptions) (*imap.SelectData, error) {
	s.finder.mu.Lock()
	defer s.finder.mu.Unlock()
	return &imap.SelectData{UIDValidity: s.finder.uidValidity, UIDNext: 1}, nil
}

func (s *finderSession) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	s.finder.mu.Lock()
	s.finder.searches++
	number := s.finder.searches
	s.finder.mu.Unlock()
	time.Sleep(s.finder.took)
	if s.finder.search != nil {
		if err := s.finder.search(number); err != nil {
			return nil, err
		}
	}
	if kind == imapserver.NumKindSeq {
		return &imap.SearchData{All: imap.SeqSetNum(uint32(number)), Count: 1}, nil
	}
	return &imap.SearchData{All: imap.UIDSetNum(imap.UID(number)), Count: 1}, nil
}

func serveFinder(t testing.TB, f *finder, options *limits.Options) *server {
	return serveSessions(t, &f.backend, f.NewSession, options)
}

// sharing returns options with which three SEARCHes of a user may run at once, and equal ones are
// shared.
func sharing() *limits.Options {
	return &limits.Options{
		MaxSearchesPerUser: 3, SearchQueueTimeout: 30 * time.Second, ShareSearches: true,
	}
}

func TestFiftyRepeatsOfASearchCostTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &finder{took: 20 * time.Second}
		s := serveFinder(t, f, sharing())
		var mu sync.Mutex
		answers := make(map[string]int)
		var all sync.WaitGroup
		for range 50 {
			c := s.selected("karen")
			all.Go(func() {
				answer := c.Cmd("x UID SEARCH SUBJECT slow")
				assert.True(t, imaptest.IsOK(answer))
				mu.Lock()
				answers[answer[0]]++
				mu.Unlock()
			})
		}
		synctest.Wait()
		s.commandsInUse(limits.Stats{Searches: 1, SearchesJoined: 48})
		took := elapsed(all.Wait)
		assert.Equal(t, 40*time.Second, took)
		assert.Equal(t, 2, f.count())
		assert.Equal(t, map[string]int{"* SEARCH 1": 1, "* SEARCH 2": 49}, answers)
		s.commandsInUse(limits.Stats{})
	})
}

// A client that gives up and asks again, for hours, as users of VPOP3 saw.
func TestARepeatedSearchNeverRunsMoreThanOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &finder{took: 310 * time.Second}
		options := sharing()
		options.SearchQueueTimeout = 0
		s := serveFinder(t, f, options)
		for range 60 {
			c := s.selected("karen")
			c.Send("x UID SEARCH TEXT needle")
			time.Sleep(time.Minute)
			assert.LessOrEqual(t, s.limiter.Stats().Searches, 1)
			assert.LessOrEqual(t, s.limiter.Stats().SearchesWaiting, 1)
		}
		assert.Equal(t, 12, f.count())
		s.limiter.Close()
		time.Sleep(10 * time.Minute)
		s.commandsInUse(limits.Stats{})
	})
}

func TestEqualSearchesAreSharedHoweverTheyAreWritten(t *testing.T) {
	for _, group := range [][]string{
		{
			`UNSEEN FROM karen`, `from "karen" unseen`, `HEADER FROM karen UNSEEN UNSEEN`,
			`(UNSEEN) HEADER from {5+}` + "\r\n" + `karen ALL`,
		},
		{`UID 1:5,7`, `UID 7,5,4,3,2,1`, `UID 1:3,3:5,7`}, {`OR SEEN FLAGGED`, `OR FLAGGED SEEN`},
		{`NOT (OR TEXT a TEXT b)`, `NOT OR TEXT b TEXT a`},
		{
			`OR TEXT a OR TEXT b TEXT c`, `OR TEXT c OR TEXT a TEXT b`,
			`OR TEXT b OR TEXT a OR TEXT b TEXT c`,
		},
		{`SINCE 1-Jan-2026 SINCE 1-Mar-2026`, `SINCE 1-Mar-2026`}, {`KEYWORD Work`, `KEYWORD WORK`},
		{`RETURN () SEEN`, `RETURN (ALL) SEEN`},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &finder{took: time.Second}
			s := serveFinder(t, f, sharing())
			var all sync.WaitGroup
			for _, search := range append([]string{group[0]}, group...) {
				c := s.selected("karen")
				all.Go(func() { assert.True(t, imaptest.IsOK(c.Cmd("x UID SEARCH "+search)), search) })
			}
			all.Wait()
			assert.Equal(t, 2, f.count(), "%q", group)
		})
	}
}

func TestSearchesThatAreNotShared(t *testing.T) {
	for name, searches := range map[string][]string{
		"sequence numbers":       {"SEARCH SEEN"},
		"criteria by number":     {"UID SEARCH 1:5"},
		"number in NOT":          {"UID SEARCH NOT 1"},
		"number in OR":           {"UID SEARCH OR SEEN 1"},
		"$":                      {"UID SEARCH $"},
		"UID $":                  {"UID SEARCH UID $"},
		"UID $ in OR":            {"UID SEARCH OR SEEN UID $"},
		"UID $ in NOT":           {"UID SEARCH NOT UID $"},
		"SAVE":                   {"UID SEARCH RETURN (SAVE) SEEN"},
		"RECENT":                 {"UID SEARCH RECENT"},
		"NEW":                    {"UID SEARCH NEW"},
		"OLD":                    {"UID SEARCH NOT OLD"},
		"recent in another case": {`UID SEARCH KEYWORD \recent`},
		"different alternatives": {
			"UID SEARCH OR TEXT a OR TEXT b TEXT c", "UID SEARCH OR TEXT a TEXT b",
			"UID SEARCH OR TEXT a (TEXT b TEXT c)", `UID SEARCH OR TEXT a TEXT "b,TEXT c"`,
		},
		"too deep to compare": {"UID SEARCH " + strings.Repeat("NOT ", 5000) + "SEEN"},
		"different text": {
			"UID SEARCH TEXT a", "UID SEARCH TEXT b", "UID SEARCH TEXT A", `UID SEARCH TEXT "a,TEXT b"`,
			"UID SEARCH BODY a", "UID SEARCH TEXT a TEXT b",
		},
		"different logic": {
			"UID SEARCH OR SEEN FLAGGED", "UID SEARCH SEEN FLAGGED", "UID SEARCH NOT (SEEN FLAGGED)",
			"UID SEARCH NOT SEEN NOT FLAGGED",
		},
		"different options": {
			"UID SEARCH RETURN (MIN) SEEN", "UID SEARCH RETURN (MAX) SEEN", "UID SEARCH RETURN (COUNT) SEEN",
			"UID SEARCH SEEN",
		},
		"different header fields": {
			"UID SEARCH TO a", "UID SEARCH FROM a", `UID SEARCH HEADER X "a"`, `UID SEARCH HEADER "X a" ""`,
		},
		"different sizes": {
			"UID SEARCH LARGER 5", "UID SEARCH SMALLER 5", "UID SEARCH SENTSINCE 1-Jan-2026",
			"UID SEARCH SINCE 1-Jan-2026",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &finder{took: time.Second}
				options := sharing()
				options.MaxSearchesPerUser = 0
				s := serveFinder(t, f, options)
				if len(searches) == 1 {
					searches = []string{searches[0], searches[0], searches[0]}
				}
				took := elapsed(func() {
					var all sync.WaitGroup
					for _, search := range searches {
						c := s.selected("karen")
						all.Go(func() { assert.True(t, imaptest.IsOK(c.Cmd("x "+search)), search) })
					}
					all.Wait()
				})
				assert.Equal(t, time.Second, took)
				assert.Equal(t, len(searches), f.count())
			})
		})
	}
}

func TestSearchesOfOthersOrElsewhereAreNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &finder{took: time.Second, uidValidity: 1}
		s := serveFinder(t, f, sharing())
		conns := []*imaptest.Conn{
			s.selected("karen"), s.selected("bob"), s.selected("karen"), s.selected("karen"),
		}
		conns[2].Cmd("s SELECT Archive")
		f.mu.Lock()
		f.uidValidity = 2
		f.mu.Unlock()
		conns[3].Cmd("s SELECT INBOX")
		for _, c := range conns {
			c.Send("x UID SEARCH SEEN")
		}
		synctest.Wait()
		assert.Equal(t, 4, s.limiter.Stats().Searches)
		time.Sleep(5 * time.Second)
		assert.Equal(t, 4, f.count())
	})
}

func TestSearchesOfUnknownUsersAreNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &finder{took: time.Second}
		s := serveSessions(
			t,
			&f.backend,
			func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				session, _, err := f.NewSession(conn)
				return session, &imapserver.GreetingData{PreAuth: true}, err
			},
			sharing(),
		)
		for range 3 {
			c := s.Dial()
			c.Line()
			c.Cmd("s SELECT INBOX")
			c.Send("x UID SEARCH SEEN")
		}
		synctest.Wait()
		s.commandsInUse(limits.Stats{Searches: 3})
	})
}

func TestEachJoinedSearchHasItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &finder{took: 50 * time.Second}
		s := serveFinder(t, f, sharing())
		runs := s.selected("karen")
		runs.Send("x UID SEARCH SEEN")
		synctest.Wait()

		start := time.Now()
		var all sync.WaitGroup
		for i := range 5 {
			c := s.selected("karen")
			all.Go(func() {
				answer := imaptest.Last(c.Cmd("x UID SEARCH SEEN"))
				arrived := time.Duration(i) * 6 * time.Second
				if i < 4 {
					assert.Equal(t, noSearches, answer)
					assert.Equal(t, arrived+30*time.Second, time.Since(start))
				} else { // it came 24 s later, so 50 s is within its deadline: it runs the SEARCH
					assert.Contains(t, answer, "OK")
					assert.Equal(t, 100*time.Second, time.Since(start))
				}
			})
			time.Sleep(6 * time.Second)
		}
		all.Wait()
		assert.Equal(t, 2, f.count())
		assert.True(t, imaptest.IsOK(runs.Answer("x")))
		s.commandsInUse(limits.Stats{})
	})
}

func TestJoinRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &finder{took: time.Minute}
		options := sharing()
		options.JoinRunning = true
		s := serveFinder(t, f, options)
		var all sync.WaitGroup
		for range 50 {
			c := s.selected("karen")
			all.Go(func() { assert.Equal(t, "* SEARCH 1", c.Cmd("x UID SEARCH SEEN")[0]) })
			time.Sleep(time.Second)
		}
		all.Wait()
		assert.Equal(t, 1, f.count())
		s.commandsInUse(limits.Stats{})
	})
}

func TestASharedSearchThatFails(t *testing.T) {
	for name, fail := range map[string]func(int) error{
		"error": func(int) error { return errors.New("disk failure") },
		"panic": func(number int) error {
			if number == 2 {
				panic("broken")
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &finder{took: time.Second, search: fail}
				s := serveFinder(t, f, sharing())
				for range 10 {
					s.selected("karen").Send("x UID SEARCH SEEN")
				}
				time.Sleep(3 * time.Second)
				assert.Equal(t, 2, f.count())
				s.commandsInUse(limits.Stats{})
			})
		})
	}
}

func TestCloseWakesSharedSearches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &finder{took: time.Minute}
		s := serveFinder(t, f, sharing())
		runs := s.selected("karen")
		runs.Send("x UID SEARCH SEEN")
		synctest.Wait()
		var waiting []*imaptest.Conn
		for range 5 {
			c := s.selected("karen")
			c.Send("x UID SEARCH SEEN")
			waiting = append(waiting, c)
		}
		synctest.Wait()
		s.limiter.Close()
		for _, c := range waiting {
			assert.Equal(t, "x "+noShuttingDown, c.Line())
		}
		assert.True(t, imaptest.IsOK(runs.Answer("x")))
		assert.Equal(t, noShuttingDown, imaptest.Last(runs.Cmd("x UID SEARCH SEEN")))
		s.commandsInUse(limits.Stats{})
	})
}

// Without the limiter the server would panic. Those who wait for the SEARCH must get an answer.
func TestASharedSearchThatReturnsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		s := serveSessions(
			t,
			b,
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return &finds{backendSession{backend: b}, nil}, nil, nil
			},
			sharing(),
		)
		c := s.selected("karen")
		assert.Equal(t, "NO [SERVERBUG] Internal server error", imaptest.Last(c.Cmd("x UID SEARCH SEEN")))
		assert.True(t, imaptest.IsOK(c.Cmd("x NOOP")))
	})
}

// finds is a session that accepts a context and does not wait for the end of it.
type finds struct {
	backendSession
	data *imap.SearchData
}

func (f *finds) SearchContext(
	context.Context, imapserver.NumKind, *imap.SearchCriteria, *imap.SearchOptions,
) (*imap.SearchData, error) {
	return f.data, nil
}

func TestASearchThatIsNotStoppedIsTheBackendsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		s := serveSessions(
			t,
			b,
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return &finds{backendSession{backend: b}, &imap.SearchData{All: imap.UIDSetNum(4, 7)}}, nil, nil
			},
			sharing(),
		)
		assert.Equal(
			t, []string{"* SEARCH 4 7", "x OK UID SEARCH completed"},
			s.selected("karen").Cmd("x UID SEARCH SEEN"),
		)
	})
}

func TestASearchJoinsTheQueueWithOnePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &finder{took: 10 * time.Second}
		options := sharing()
		options.MaxSearchesPerUser = 1
		options.MaxWaitingPerUser = 1
		s := serveFinder(t, f, options)
		s.selected("karen").Send("x SEARCH SEEN")
		synctest.Wait()
		for range 10 {
			s.selected("karen").Send("x UID SEARCH SEEN")
		}
		synctest.Wait()
		s.commandsInUse(limits.Stats{Searches: 1, SearchesWaiting: 1, SearchesJoined: 9})
		assert.Equal(
			t, noSearches, imaptest.Last(s.selected("karen").Cmd("x UID SEARCH FLAGGED")),
			"the queue is full",
		)
		time.Sleep(time.Minute)
		assert.Equal(t, 2, f.count())
		s.commandsInUse(limits.Stats{})
	})
}

// When the client that would run the SEARCH hangs up, the next one runs it.
func TestASharedSearchOutlivesTheClientThatAskedFirst(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	running, finish := make(chan struct{}), make(chan struct{})
	f := &finder{search: func(int) error {
		running <- struct{}{}
		<-finish
		return nil
	}}
	options := sharing()
	left := make(chan limits.Event, 10)
	options.OnEvent = func(e limits.Event) { left <- e }
	limiter := limits.New(options)
	address := listenTCP(t, plain, limiter.Wrap(f.NewSession))
	search := func() *imaptest.Conn {
		c := imaptest.DialTCP(t, address)
		c.Cmd("a LOGIN karen pass")
		c.Cmd("b SELECT INBOX")
		c.Send("x UID SEARCH SEEN")
		return c
	}
	first := search()
	<-running
	leads := search()
	for limiter.Stats() != (limits.Stats{Connections: 2, Sessions: 2, Searches: 1}) {
		runtime.Gosched()
	}
	joins := search()
	for limiter.Stats().SearchesJoined == 0 {
		runtime.Gosched()
	}
	leads.Close()
	assert.Equal(t, limits.EventLeft, (<-left).Kind)
	finish <- struct{}{}
	<-running
	finish <- struct{}{}
	assert.Equal(t, "* SEARCH 1", first.Line())
	assert.Equal(t, "* SEARCH 2", joins.Line())
}

// The client whose SEARCH was first in the queue may log out while others still wait for it.
func TestASharedSearchOutlivesTheSessionThatAskedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &finder{took: 100 * time.Second}
		options := sharing()
		options.MaxSearches, options.MaxSearchesPerUser, options.SearchQueueTimeout = 1, 1, 95*time.Second
		s := serveFinder(t, f, options)
		s.selected("bob").Send("x SEARCH SEEN")
		synctest.Wait()
		first, second, third, fourth := s.selected(
			"karen",
		), s.selected(
			"karen",
		), s.selected(
			"karen",
		), s.selected(
			"karen",
		)
		first.Send("x UID SEARCH SEEN")
		time.Sleep(50 * time.Second)
		second.Send("x UID SEARCH SEEN")
		assert.Equal(t, "x "+noSearches, first.Line())
		first.Cmd("y LOGOUT")
		assert.Equal(t, []string{"* SEARCH 2", "x OK UID SEARCH completed"}, second.Answer("x"))
		s.commandsInUse(limits.Stats{})
		assert.True(t, imaptest.IsOK(third.Cmd("x UID SEARCH SEEN")), "the user's slot has come back")

		// When no client waits any more, the place in the queue is free.
		s.selected("bob").Send("x SEARCH SEEN")
		synctest.Wait()
		third.Send("x UID SEARCH SEEN")
		time.Sleep(time.Second)
		fourth.Send("x UID SEARCH SEEN")
		assert.Equal(t, "x "+noSearches, third.Line())
		third.Cmd("y LOGOUT")
		assert.Equal(t, "x "+noSearches, fourth.Line())
		time.Sleep(time.Minute)
		s.commandsInUse(limits.Stats{})
	})
}

// Names that count as one user can be several accounts, and so can one name at two backends.
func TestSearchesOfDifferentAccountsAreNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := &finder{took: time.Second}, &finder{took: time.Second}
		limiter := limits.New(sharing())
		wrapped := []limits.NewSessionFunc{limiter.Wrap(one.NewSession), limiter.Wrap(two.NewSession)}
		for _, login := range []struct {
			backend int
			user    string
		}{{0, "karen"}, {0, "Karen"}, {1, "karen"}} {
			server := imaptest.NewServer(
				t, &imapserver.Options{NewSession: wrapped[login.backend], InsecureAuth: true},
			)
			c := server.Login(login.user, "pass")
			c.Cmd("s SELECT INBOX")
			c.Send("x UID SEARCH SEEN")
		}
		synctest.Wait()
		assert.Equal(t, 3, limiter.Stats().Searches)
		time.Sleep(time.Minute)
	})
}

// The name that a client claims in a SASL exchange does not say whose mail it reads if the backend
// ignores the name.
func TestSearchesAfterSASLAreSharedOnlyIfTheBackendNamesTheUser(t *testing.T) {
	for _, named := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := &finder{took: time.Second}
			options := sharing()
			if named {
				options.Username = func(imapserver.Session) string { return "mallory" }
			}
			s := serveSessions(
				t,
				&f.backend,
				func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
					session, _, err := f.NewSession(conn)
					mechanisms := map[string]func() sasl.Server{"PLAIN": func() sasl.Server {
						return sasl.NewPlainServer(func(identity, username, password string) error { return nil })
					}}
					return saslFinder{session.(*finderSession), mechanisms}, nil, err
				},
				options,
			)
			for range 3 {
				c := s.dial("192.0.2.1")
				assert.Contains(t, authenticate(c, "PLAIN", "victim\x00mallory\x00pass"), "OK")
				c.Cmd("s SELECT INBOX")
				c.Send("x UID SEARCH SEEN")
			}
			synctest.Wait()
			if named {
				s.commandsInUse(limits.Stats{Searches: 1, SearchesJoined: 1})
			} else {
				s.commandsInUse(limits.Stats{Searches: 3})
			}
			time.Sleep(time.Minute)
		})
	}
}

type saslFinder struct {
	*finderSession
	mechanisms map[string]func() sasl.Server
}

func (s saslFinder) AuthenticateMechanisms() []string { return []string{"PLAIN"} }

func (s saslFinder) Authenticate(
	mech string,
) (sasl.Server, error) {
	return s.mechanisms[mech](), nil
}

func TestCloseWakesThoseWhoJoinedARunningSearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := sharing()
		options.JoinRunning = true
		s := serveFinder(t, &finder{took: 5 * time.Minute}, options)
		runs, joined := s.selected("karen"), s.selected("karen")
		runs.Send("x UID SEARCH SEEN")
		synctest.Wait()
		joined.Send("x UID SEARCH SEEN")
		synctest.Wait()
		s.limiter.Close()
		assert.Equal(t, "x "+noShuttingDown, joined.Line())
		assert.True(t, imaptest.IsOK(runs.Answer("x")))
		s.commandsInUse(limits.Stats{})
	})
}

func TestACommandThatWaitsWhenDryRunBeginsRunsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, search := range []string{"x SEARCH SEEN", "x UID SEARCH SEEN"} {
			f := &finder{took: 20 * time.Second}
			options := sharing()
			options.MaxSearches = 1
			s := serveFinder(t, f, options)
			s.selected("bob").Send("x SEARCH SEEN")
			synctest.Wait()
			c := s.selected("karen")
			c.Send(search)
			time.Sleep(time.Second)
			options.DryRun = true
			require.NoError(t, s.limiter.SetOptions(options))
			took := elapsed(func() { assert.True(t, imaptest.IsOK(c.Answer("x"))) })
			assert.Equal(t, 20*time.Second, took)
			s.commandsInUse(limits.Stats{})
			s.limiter.Close()
			assert.Equal(t, noShuttingDown, imaptest.Last(c.Cmd(search)))
		}
	})
}

// On a real clock: a SEARCH that did not wait causes no event, and a full queue causes the right
// one.
func TestEventsOfSharedSearches(t *testing.T) {
	running, finish := make(chan struct{}), make(chan struct{})
	f := &finder{search: func(number int) error {
		if number == 2 {
			running <- struct{}{}
			<-finish
		}
		return nil
	}}
	events := make(chan limits.Event, 10)
	options := sharing()
	options.MaxSearches, options.MaxWaiting = 1, 1
	options.OnEvent = func(e limits.Event) { events <- e }
	limiter := limits.New(options)
	address := listenTCP(t, plain, limiter.Wrap(f.NewSession))
	dial := func() *imaptest.Conn {
		c := imaptest.DialTCP(t, address)
		c.Cmd("a LOGIN karen pass")
		c.Cmd("s SELECT INBOX")
		return c
	}
	c := dial()
	c.Cmd("x UID SEARCH SEEN")
	c.Send("x UID SEARCH SEEN")
	<-running
	dial().Send("x UID SEARCH DRAFT")
	for limiter.Stats().SearchesWaiting == 0 {
		runtime.Gosched()
	}
	assert.Equal(t, noSearches, imaptest.Last(dial().Cmd("x UID SEARCH FLAGGED")))
	event := <-events
	assert.Equal(t, limits.EventRefused, event.Kind)
	assert.Equal(t, "MaxWaiting", event.Limit)
	close(finish)
}
