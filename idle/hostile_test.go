package idle_test

import (
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/internal/imaptest"
)

// A client that does not read must not keep others from being polled: neither while it is told what
// is new, nor by the BYE when that cannot be found out.
func TestAClientThatDoesNotReadHoldsNoPoll(t *testing.T) {
	for name, poll := range map[string]func(w *imapserver.UpdateWriter) error{
		"news":    func(w *imapserver.UpdateWriter) error { return w.WriteNumMessages(3) },
		"failure": func(*imapserver.UpdateWriter) error { return errors.New("no database") },
		"panic":   func(*imapserver.UpdateWriter) error { panic("no database") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ended, begun atomic.Pointer[time.Time]
				next := newBackend()
				deaf := &deaf{poll: func(w *imapserver.UpdateWriter) error {
					time.Sleep(2 * time.Minute) // until the other one is in line
					ended.Store(new(time.Now()))
					return poll(w)
				}}
				waiting := &first{backend: next, begun: &begun}
				n := 0
				server := serve(t, idle.Wrap(
					func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
						if n++; n == 1 {
							deaf.conn = conn
							return deaf, nil, nil
						}
						return waiting, nil, nil
					}, &idle.Options{Mode: idle.Poll, MaxPolls: 1},
				))
				c := server.Login("mallory", "pass")
				c.Send("i IDLE")
				assert.Equal(t, "+ idling", c.Line())
				time.Sleep(time.Minute)
				begin(t, server.Login("karen", "pass"), next)
				time.Sleep(5 * time.Minute)
				assert.NotNil(t, ended.Load())
				assert.Equal(t, ended.Load(), begun.Load())
				server.Close()
			})
		})
	}
}

// deaf is a session whose client has no room for another byte when it is polled in IDLE.
type deaf struct {
	imaptest.Stub
	conn  *imapserver.Conn
	poll  func(w *imapserver.UpdateWriter) error
	polls int
}

func (d *deaf) Poll(w *imapserver.UpdateWriter, _ bool) error {
	if d.polls++; d.polls == 1 { // that of LOGIN
		return nil
	}
	conn := d.conn.NetConn()
	conn.SetWriteDeadline(time.Now().Add(time.Millisecond))
	conn.Write(make([]byte, 1<<20))
	return d.poll(w)
}

// first notes when it is polled for the first time in IDLE.
type first struct {
	*backend
	begun *atomic.Pointer[time.Time]
}

func (f *first) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	f.mu.Lock()
	if f.idling {
		f.begun.CompareAndSwap(nil, new(time.Now()))
	}
	f.mu.Unlock()
	return f.backend.Poll(w, allowExpunge)
}

// Whoever begins and leaves IDLE again and again, while the poll of one takes long, has one
// goroutine of them at a time.
func TestIDLEBrokenOffWhileItIsPolled(t *testing.T) {
	for _, mode := range []idle.Mode{idle.Poll, idle.Off} {
		t.Run(mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBackend()
				b.block = make(chan struct{})
				server := serve(t, idle.Wrap(sessions(b), &idle.Options{Mode: mode}))
				c := server.Login("mallory", "pass")
				begin(t, c, b)
				time.Sleep(time.Minute) // with Poll it is polled now
				for range 100 {
					c.Send("x", "i IDLE")
					assert.Contains(t, c.Line(), "i BAD")
					assert.Equal(t, "+ idling", c.Line())
				}
				c.Send("x")
				assert.Contains(t, c.Line(), "i BAD")
				synctest.Wait()
				stacks := make([]byte, 16<<20)
				stacks = stacks[:runtime.Stack(stacks, true)]
				assert.Equal(t, 1, strings.Count(string(stacks), "idle.(*session).Idle("))
				close(b.block)
				synctest.Wait()
				polls, _ := b.seen()
				assert.Len(t, polls, 1)
			})
		})
	}
}

// Whoever has left one IDLE without DONE, and the next one with it, is told as ever.
func TestDONEWhileTheIDLEBeforeIsPolled(t *testing.T) {
	for mode, answer := range map[idle.Mode]string{
		idle.Poll: "i OK IDLE completed",
		idle.Off:  "i NO [CANNOT] IDLE is switched off on this server",
	} {
		t.Run(mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBackend()
				b.block = make(chan struct{})
				server := serve(t, idle.Wrap(sessions(b), &idle.Options{Mode: mode}))
				c := server.Login("karen", "pass")
				begin(t, c, b)
				time.Sleep(time.Minute)
				c.Send("x")
				assert.Contains(t, c.Line(), "i BAD")
				synctest.Wait()
				c.Send("i IDLE", "DONE")
				assert.Equal(t, "+ idling", c.Line())
				b.inIdle(false)
				close(b.block)
				assert.ElementsMatch(t, []string{"* 1 EXISTS", answer}, []string{c.Line(), c.Line()})
			})
		})
	}
}

// busy is a session with more news than fit into memory while it has its turn.
type busy struct{ imaptest.Stub }

func (busy) Poll(w *imapserver.UpdateWriter, _ bool) error {
	for n := uint32(1); n <= 1000; n++ {
		for _, err := range []error{
			w.WriteNumMessages(n), w.WriteNumRecent(n),
			w.WriteMessageFlags(n, imap.UID(n+7), []imap.Flag{imap.FlagSeen, "$Forwarded"}),
			w.WriteMessageFlags(n, 0, nil), w.WriteExpunge(n),
		} {
			if err != nil {
				return err
			}
		}
	}
	return w.WriteMailboxFlags([]imap.Flag{imap.FlagFlagged, "word"})
}

// With MaxPolls the client reads what it would read without it.
func TestMaxPollsLosesNoNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told [2][]string
		for maxPolls := range told {
			server := serve(t, idle.Wrap(
				func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
					return &onlyInIdle{}, nil, nil
				}, &idle.Options{Mode: idle.Poll, MaxPolls: maxPolls},
			))
			c := server.Login("karen", "pass")
			c.Send("i IDLE")
			for range 1 + 5*1000 + 1 {
				told[maxPolls] = append(told[maxPolls], c.Line())
			}
			server.Close()
		}
		assert.Equal(t, "* FLAGS (\\Flagged word)", told[0][len(told[0])-1])
		assert.Equal(t, told[0], told[1])
	})
}

// onlyInIdle is busy, but not after LOGIN.
type onlyInIdle struct {
	busy
	polls int
}

func (o *onlyInIdle) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	if o.polls++; o.polls == 1 {
		return nil
	}
	return o.busy.Poll(w, allowExpunge)
}
