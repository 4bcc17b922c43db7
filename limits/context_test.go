package limits_test

import (
	"context"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/keep"
	"github.com/imapgate/imapgate/limits"
)

// stoppable is a backend session whose commands run until they are stopped. With shorten it then
// reports success, as a careless backend might.
type stoppable struct {
	backendSession
	running chan struct{}
	shorten bool
}

func (s *stoppable) wait(ctx context.Context) error {
	if s.running != nil {
		s.running <- struct{}{}
	}
	<-ctx.Done()
	if s.shorten {
		return nil
	}
	return ctx.Err()
}

func (s *stoppable) FetchContext(
	ctx context.Context, _ *imapserver.FetchWriter, _ imap.NumSet, _ *imap.FetchOptions,
) error {
	return s.wait(ctx)
}

func (s *stoppable) SearchContext(
	ctx context.Context, _ imapserver.NumKind, _ *imap.SearchCriteria, _ *imap.SearchOptions,
) (*imap.SearchData, error) {
	return &imap.SearchData{All: imap.UIDSetNum(1)}, s.wait(ctx)
}

// pass is a wrapper that does not change FETCH and SEARCH.
type pass struct{ imapserver.Session }

func stoppableBackend(
	b *backend, running chan struct{}, shorten, wrapped bool,
) limits.NewSessionFunc {
	return func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		var session imapserver.Session = &stoppable{backendSession{backend: b}, running, shorten}
		if wrapped {
			session = keep.Optional(pass{session}, session)
		}
		return session, nil, nil
	}
}

func TestACommandThatTakesTooLongIsStopped(t *testing.T) {
	for name, wrapped := range map[string]bool{"bare": false, "wrapped": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, shorten := range []bool{false, true} {
					b := &backend{}
					var events []limits.Event
					s := serveSessions(t, b, stoppableBackend(b, nil, shorten, wrapped), &limits.Options{
						MaxFetches: 1, FetchRunTimeout: time.Minute,
						MaxSearches: 1, SearchRunTimeout: 2 * time.Minute, ShareSearches: true,
						OnEvent: func(e limits.Event) { events = append(events, e) },
					})
					c := s.selected("karen")
					took := elapsed(func() {
						assert.Equal(t, []string{"x NO [LIMIT] FETCH took too long"}, c.Cmd("x FETCH 1 FLAGS"))
					})
					assert.Equal(t, time.Minute, took)
					for _, search := range []string{"x SEARCH ALL", "x UID SEARCH ALL"} {
						took = elapsed(func() {
							assert.Equal(
								t, []string{"x NO [LIMIT] SEARCH took too long"}, c.Cmd(search), "never a shortened result",
							)
						})
						assert.Equal(t, 2*time.Minute, took)
					}
					require.Len(t, events, 3)
					assert.Equal(t, limits.EventTimedOut, events[0].Kind)
					assert.Equal(t, "FetchRunTimeout", events[0].Limit)
					assert.Equal(t, "SearchRunTimeout", events[1].Limit)
					s.commandsInUse(limits.Stats{})
				}
			})
		})
	}
}

func TestCloseStopsWhatCanBeStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		s := serveSessions(
			t, b, stoppableBackend(b, nil, true, false), &limits.Options{ShareSearches: true},
		)
		conns := []*imaptest.Conn{
			s.selected("karen"), s.selected("karen"), s.selected("karen"), s.selected("karen"),
		}
		for i, c := range conns {
			c.Send([]string{"x FETCH 1 FLAGS", "x SEARCH ALL", "x UID SEARCH ALL", "x UID SEARCH ALL"}[i])
			synctest.Wait()
		}
		s.limiter.Close()
		for _, c := range conns {
			assert.Equal(t, "x "+noShuttingDown, c.Line())
		}
		s.commandsInUse(limits.Stats{})
	})
}

func TestACommandIsStoppedWhenItsClientHangsUp(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	for _, command := range []string{"x FETCH 1 FLAGS", "x SEARCH ALL", "x UID SEARCH ALL"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			b, running := &backend{}, make(chan struct{})
			events := make(chan limits.Event, 1)
			limiter := limits.New(
				&limits.Options{ShareSearches: true, OnEvent: func(e limits.Event) { events <- e }},
			)
			address := listenTCP(t, plain, limiter.Wrap(stoppableBackend(b, running, false, false)))
			c := imaptest.DialTCP(t, address)
			c.Cmd("a LOGIN karen pass")
			c.Cmd("b SELECT INBOX")
			c.Send(command)
			<-running
			c.Close()
			assert.Equal(t, limits.EventLeft, (<-events).Kind)
		})
	}
}

// A shared SEARCH continues while at least one client that wants its answer is connected.
func TestASharedSearchIsStoppedWhenAllHaveHungUp(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	b, running := &backend{}, make(chan struct{}, 10)
	events := make(chan limits.Event, 10)
	limiter := limits.New(&limits.Options{
		ShareSearches: true, JoinRunning: true, OnEvent: func(e limits.Event) { events <- e },
	})
	address := listenTCP(t, plain, limiter.Wrap(stoppableBackend(b, running, false, false)))
	var conns []*imaptest.Conn
	for i := range 3 {
		c := imaptest.DialTCP(t, address)
		c.Cmd("a LOGIN karen pass")
		c.Cmd("b SELECT INBOX")
		c.Send("x UID SEARCH ALL")
		conns = append(conns, c)
		if i == 0 {
			<-running
		}
		for limiter.Stats().Searches+limiter.Stats().SearchesJoined < i+1 {
			runtime.Gosched()
		}
	}
	conns[0].Close() // the client that runs it
	conns[1].Close()
	assert.Equal(t, limits.EventLeft, (<-events).Kind, "the one that had joined")
	assert.Equal(t, 1, limiter.Stats().Searches)
	conns[2].Close()
	assert.Equal(t, limits.EventLeft, (<-events).Kind)
	for limiter.Stats().Searches > 0 {
		runtime.Gosched()
	}
	assert.Empty(t, running, "it ran once")
}

// patient is a backend session that accepts a context, but runs longer than it may.
type patient struct{ backendSession }

func (s *patient) FetchContext(
	ctx context.Context, _ *imapserver.FetchWriter, _ imap.NumSet, _ *imap.FetchOptions,
) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Hour):
		return nil
	}
}

func TestNobodyIsStoppedUnderDryRunOrInAnExemptNetwork(t *testing.T) {
	for name, test := range map[string]struct {
		options limits.Options
		told    int
	}{
		"DryRun": {limits.Options{DryRun: true}, 1},
		"Exempt": {limits.Options{Exempt: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &backend{}
				var events []limits.Event
				test.options.FetchRunTimeout = time.Minute
				test.options.OnEvent = func(e limits.Event) { events = append(events, e) }
				s := serveSessions(
					t,
					b,
					func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
						return &patient{backendSession{backend: b}}, nil, nil
					},
					&test.options,
				)
				assert.True(t, imaptest.IsOK(s.selected("karen").Cmd("x FETCH 1 FLAGS")))
				require.Len(t, events, test.told)
				for _, e := range events {
					assert.True(t, e.DryRun)
					assert.Equal(t, "FetchRunTimeout", e.Limit)
				}
			})
		})
	}
}
