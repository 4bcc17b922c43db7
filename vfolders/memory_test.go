package vfolders_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/vfolders"
)

// large has a list of about 500 KB on the wire, more than a connection holds that nobody reads.
func large() *backend {
	var folders []string
	for i := range 2000 {
		folders = append(folders, fmt.Sprintf("dir %d/%s", i/10, strings.Repeat("x", 200)+fmt.Sprint(i)))
	}
	return names('/', folders...)
}

const (
	inMemory = 2000*(200+220+16) + 200*320 // of one list of large
	tooMany  = "NO [LIMIT] Too many lists of folders at once - try again later"
	tooLarge = "NO [LIMIT] This list of folders is too large"
)

func budgeted(t *testing.T, next vfolders.NewSessionFunc, bytes int64) *imaptest.Server {
	return imaptest.Serve(t, vfolders.Wrap(next, &vfolders.Options{MaxTotalMemory: bytes}))
}

func TestListsWaitForMemoryInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := budgeted(t, mover{large()}.session, inMemory*3/2)
		start := time.Now()
		var clients []*imaptest.Conn
		for range 4 {
			c := server.Login("bob", "pass")
			clients = append(clients, c)
			c.Send(`a LIST "" *`)
			synctest.Wait()
			time.Sleep(time.Second)
		}
		assert.True(t, imaptest.IsOK(clients[0].Answer("a")), "there is room for one")
		synctest.Wait()
		assert.True(t, imaptest.IsOK(clients[1].Answer("a")), "and then for the next")
		clients[2].Close()
		assert.Len(t, clients[3].Answer("a"), 2000+200+1)
		assert.Equal(t, 4*time.Second, time.Since(start))
	})
}

// A client that does not read is ended for those that wait, so that it cannot keep them out.
func TestAClientThatDoesNotReadItsListKeepsNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := budgeted(t, mover{large()}.session, inMemory*3/2)
		lazy, slow := server.Login("bob", "pass"), server.Login("bob", "pass")
		other, late := server.Login("bob", "pass"), server.Login("bob", "pass")
		lazy.Send(`a LIST "" *`)
		synctest.Wait()
		start := time.Now()
		other.Send(`a LIST "" *`)
		synctest.Wait()
		slow.Send(`a LIST "" *`)
		synctest.Wait()
		late.Send(`a LIST "" *`)
		assert.True(t, imaptest.IsOK(other.Answer("a")))
		assert.Equal(t, 20*time.Second, time.Since(start))
		assert.Equal(t, tooMany, imaptest.Last(late.Answer("a")), "slow does not read")
		assert.Equal(t, 30*time.Second, time.Since(start))
		assert.Less(t, len(lazy.Rest()), 2000, "its connection is closed")
		assert.True(t, imaptest.IsOK(slow.Answer("a")), "nobody waits any more")
		answer(t, other, "NOOP")
		answer(t, late, "NOOP")
	})
}

// Nor does one that reads a little now and then, also if the others come later.
func TestAClientThatReadsItsListSlowlyKeepsNobodyOut(t *testing.T) {
	for _, user := range []string{"bob", "karen"} {
		synctest.Test(t, func(t *testing.T) {
			server := budgeted(t, mover{large()}.session, inMemory*3/2)
			slow, other := server.Login("bob", "pass"), server.Login(user, "pass")
			slow.Send(`a LIST "" *`)
			go func() {
				buf := make([]byte, 1000)
				time.Sleep(time.Second / 4) // not at the moments at which the server looks
				for {
					time.Sleep(time.Second)
					if _, err := slow.Read(buf); err != nil {
						return
					}
				}
			}()
			time.Sleep(25*time.Second + time.Second/2)
			start := time.Now()
			assert.True(t, imaptest.IsOK(other.Cmd(`a LIST "" *`)))
			assert.Equal(t, time.Second/2, time.Since(start), user)
			time.Sleep(5 * time.Minute) // slow gets the rest of what was written, and then the end
		})
	}
}

// The time that a client has begins anew with each LIST.
func TestEachListHasItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := budgeted(t, mover{large()}.session, inMemory*3/2)
		c, other := server.Login("bob", "pass"), server.Login("bob", "pass")
		answer(t, c, `LIST "" *`)
		time.Sleep(19 * time.Second)
		c.Send(`a LIST "" *`)
		synctest.Wait()
		start := time.Now()
		assert.True(t, imaptest.IsOK(other.Cmd(`a LIST "" *`)))
		assert.Equal(t, 20*time.Second, time.Since(start))
	})
}

// growing is a backend whose list is longer when the session that is the second one lists it again.
type growing struct {
	mover
	sessions, number, lists int
}

func (g *growing) session(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	g.sessions++
	return &growing{mover: g.mover, number: g.sessions}, nil, nil
}

func (g *growing) List(
	w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions,
) error {
	if g.lists++; g.number == 2 && g.lists == 2 {
		for i := range 200 {
			if err := w.WriteList(&imap.ListData{Mailbox: fmt.Sprint(i)}); err != nil {
				return err
			}
		}
	}
	return g.mover.List(w, ref, patterns, options)
}

// A list that has grown meanwhile waits again, but no longer than any other.
func TestAListThatGrowsWaitsNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := &growing{mover: mover{large()}}
		server := budgeted(t, next.session, inMemory*3/2)
		var clients []*imaptest.Conn
		for _, user := range []string{"bob", "karen", "eve"} {
			clients = append(clients, server.Login(user, "pass"))
			clients[len(clients)-1].Send(`a LIST "" *`)
			synctest.Wait()
		}
		start := time.Now()
		// The first one is ended after 20 s. Then the second one needs more, and has to wait for the
		// third one, which does not read either.
		assert.Equal(t, tooMany, imaptest.Last(clients[1].Answer("a")))
		assert.Equal(t, 30*time.Second, time.Since(start))
	})
}

// However many lists one user does not read, half of the memory is for the others.
func TestOneUserCannotHaveAllMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := budgeted(t, mover{large()}.session, inMemory*3)
		for range 4 {
			server.Login("bob", "pass").Send(`a LIST "" *`)
			synctest.Wait()
		}
		start := time.Now()
		assert.True(t, imaptest.IsOK(server.Login("karen", "pass").Cmd(`a LIST "" *`)))
		assert.Equal(t, time.Duration(0), time.Since(start))
		assert.Equal(t, tooMany, imaptest.Last(server.Login("BOB", "pass").Cmd(`a LIST "" *`)))
	})
}

// A user of whom the backend knows several names has one half. It is asked once after a login.
func TestOneUserWithSeveralNamesCannotHaveAllMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		server := imaptest.Serve(t, vfolders.Wrap(mover{large()}.session, &vfolders.Options{
			MaxTotalMemory: inMemory * 3,
			Username: func(imapserver.Session) string {
				asked.Add(1)
				return "bob"
			},
		}))
		server.Login("bob", "pass").Send(`a LIST "" *`)
		synctest.Wait()
		start := time.Now()
		robert := server.Login("robert", "pass")
		assert.True(t, imaptest.IsOK(robert.Cmd(`a LIST "" *`)))
		assert.NotZero(t, time.Since(start), "it waits for the other")
		assert.True(t, imaptest.IsOK(robert.Cmd(`b LIST "" *`)))
		assert.EqualValues(t, 2, asked.Load())
	})
}

// When nobody waits, a client has all the time that go-imap gives it.
func TestAClientMayReadItsListSlowlyWhenNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := budgeted(t, mover{large()}.session, inMemory*3/2)
		c := server.Login("bob", "pass")
		c.Send(`a LIST "" *`)
		var all strings.Builder
		buf := make([]byte, 20_000)
		for !strings.Contains(all.String(), "a OK LIST") {
			time.Sleep(5 * time.Second)
			n, err := c.Read(buf)
			require.NoError(t, err)
			all.Write(buf[:n])
		}
		assert.Equal(t, 2000+200+1, strings.Count(all.String(), "\n"))
	})
}

func TestAListThatIsTooLarge(t *testing.T) {
	for command, lists := range map[string]int{`LIST "" *`: 1, `LIST "" %`: 2, `LSUB "" %`: 3} {
		b := large()
		for i := range b.mailboxes {
			b.mailboxes[i].subscribed = true
		}
		for bytes, want := range map[int64]string{
			inMemory / 2: tooLarge, int64(4 * inMemory): "OK " + command[:4] + " completed",
			0: "OK " + command[:4] + " completed",
		} {
			c := budgeted(t, mover{b}.session, bytes).Login("bob", "pass")
			b.took()
			assert.Equal(t, want, imaptest.Last(c.Cmd("a "+command)), "%s with %d", command, bytes)
			if want != tooLarge {
				assert.Len(t, b.took(), lists)
			}
			answer(t, c, `LIST "" nothing`)
			answer(t, c, `STATUS "dir 7" (MESSAGES)`)
		}
	}
}

// The status of a virtual folder counts too.
func TestAListWithTheStatusOfVirtualFolders(t *testing.T) {
	b := names('/')
	for i := range 1000 {
		b.add('/', fmt.Sprintf("%03d/x", i))
	}
	const inMemory = 1000 * (200 + 200 + 5 + 320 + 200)
	for bytes, want := range map[int64]string{
		inMemory - 50_000: tooLarge, inMemory + 50_000: "OK LIST completed",
	} {
		c := budgeted(t, mover{b}.session, bytes).Login("bob", "pass")
		assert.Equal(t, want, imaptest.Last(c.Cmd(`a LIST "" * RETURN (STATUS (MESSAGES))`)))
	}
}

// The names of what the client does not see count too, and so do the folders above them.
func TestAListOfNamesThatIsTooLarge(t *testing.T) {
	for format, inMemory := range map[string]int64{
		"dir/%03d": 1000*(64+7) + 320, "%03d/x": 1000 * (64 + 5 + 320),
	} {
		b := names('/')
		for i := range 1000 {
			b.add('/', fmt.Sprintf(format, i))
		}
		for bytes, want := range map[int64]string{
			inMemory - 1: tooLarge, inMemory: "OK LIST completed",
		} {
			c := budgeted(t, mover{b}.session, bytes).Login("bob", "pass")
			assert.Equal(t, want, imaptest.Last(c.Cmd(`a LIST "" %`)), format)
		}
	}
}

// What is taken is no more than what there is, and what the folders are.
func TestAListThatIsSmall(t *testing.T) {
	for _, b := range []*backend{names('/', "a/b", "c"), names('/', strings.Repeat("x/", 2000))} {
		c := budgeted(t, mover{b}.session, 14<<10).Login("bob", "pass")
		b.took()
		answer(t, c, `LIST "" *`)
		assert.Equal(t, []string{"LIST  *"}, b.took(), "it did not wait")
	}
}

// However a LIST ends, it gives back what it has.
func TestMemoryComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := large()
		server := budgeted(t, sometimes{mover{b}}.session, inMemory*3/2)
		check := func() {
			t.Helper()
			synctest.Wait()
			assert.True(t, imaptest.IsOK(server.Login("bob", "pass").Cmd(`a LIST "" *`)))
		}
		check()
		b.fail = errBackend
		assert.Contains(t, imaptest.Last(server.Login("bob", "pass").Cmd(`a LIST "" *`)), "NO ")
		b.fail = nil
		check()
		c := server.Login("bob", "pass")
		c.Send(`a LIST "panic" *`)
		c.Rest()
		check()
		c = server.Login("bob", "pass")
		c.Send(`a LIST "" *`)
		synctest.Wait()
		c.Close()
		check()
		holder, waiter := server.Login("bob", "pass"), server.Login("bob", "pass")
		holder.Send(`a LIST "" *`)
		synctest.Wait()
		waiter.Send(`a LIST "" *`)
		synctest.Wait()
		waiter.Close()
		holder.Answer("a")
		check()
	})
}

// sometimes panics at the end of a LIST.
type sometimes struct{ mover }

func (s sometimes) session(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	return s, nil, nil
}

func (s sometimes) List(
	w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions,
) error {
	err := s.mover.List(w, "", patterns, options)
	if ref == "panic" {
		panic("in the backend")
	}
	return err
}

// The bytes of the heap are those of the option, whatever is in the lists. No client reads its
// answer, so that all who have got memory for it hold that.
func TestMaxTotalMemoryIsWhatIsHeld(t *testing.T) {
	for name, mailbox := range map[string]func(i int) string{
		"long":  func(i int) string { return strings.Repeat("x", 100) + fmt.Sprint(i) },
		"short": func(i int) string { return fmt.Sprint(i) },
		"pairs": func(i int) string { return fmt.Sprintf("%d/x", i) },
		"deep":  func(i int) string { return fmt.Sprint(i/10) + strings.Repeat("/yyyyyyyy", i%10) },
	} {
		b := names('/')
		for i := range 3500 {
			b.add('/', mailbox(i))
			b.mailboxes[i].Status = &imap.StatusData{
				Mailbox: mailbox(i), NumMessages: new(uint32), Size: new(int64),
			}
		}
		for _, command := range []string{`LIST "" (% %/%)`, `LIST "" * RETURN (STATUS (MESSAGES SIZE))`} {
			synctest.Test(t, func(t *testing.T) {
				const bytes = 4 << 20
				next := everything{mover{b}, make(chan struct{})}
				server := budgeted(t, next.session, bytes)
				clients := make([]*imaptest.Conn, 7)
				for i := range clients {
					clients[i] = server.Login(fmt.Sprint("user", i), "pass")
				}
				before := heap()
				for _, c := range clients {
					c.Send("a " + command)
				}
				for _, when := range []string{"collected", "written"} {
					synctest.Wait()
					grown := heap() - before
					t.Logf("%s, %s, %s: %.2f of the bytes allowed", name, command, when, float64(grown)/bytes)
					assert.Less(t, float64(grown), bytes*1.1, "%s, %s, %s", name, command, when)
					assert.Greater(t, float64(grown), bytes*0.12, "%s, %s, %s", name, command, when)
					if when == "collected" {
						close(next.release)
					}
				}
			})
		}
	}
}

// everything is a backend whose LIST lists all that there is, as it is. At the end of one for "*"
// it waits.
type everything struct {
	mover
	release chan struct{}
}

func (e everything) session(
	*imapserver.Conn,
) (imapserver.Session, *imapserver.GreetingData, error) {
	return e, nil, nil
}

func (e everything) List(
	w *imapserver.ListWriter, _ string, patterns []string, _ *imap.ListOptions,
) error {
	for i := range e.mailboxes {
		if err := w.WriteList(&e.mailboxes[i].ListData); err != nil {
			return err
		}
	}
	if patterns[0] == "*" {
		<-e.release
	}
	return nil
}

func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
