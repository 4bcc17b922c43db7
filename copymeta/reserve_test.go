package copymeta_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/internal/imaptest"
)

// crowd is many sessions that copy at once: all wait for each other when they have read their
// messages, and again when they append the first.
type crowd struct {
	read, append barrier
}

// barrier lets nobody pass until all have come and it is opened.
type barrier struct {
	all  sync.WaitGroup
	open chan struct{}
}

func newCrowd(sessions int) *crowd {
	c := &crowd{}
	for _, b := range []*barrier{&c.read, &c.append} {
		b.all.Add(sessions)
		b.open = make(chan struct{})
	}
	return c
}

func (b *barrier) pass() {
	b.all.Done()
	<-b.open
}

// crowdSession is one of a crowd, with messages that all have in common. It keeps nothing of what
// is appended.
type crowdSession struct {
	*backend
	crowd    *crowd
	once     sync.Once
	appended int64
}

func (s *crowdSession) Fetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	err := s.backend.Fetch(w, numSet, options)
	if uids, ok := numSet.(imap.UIDSet); ok && len(options.BodySection) > 0 && uids.Contains(8) {
		s.crowd.read.pass()
	}
	return err
}

func (s *crowdSession) Append(
	name string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	s.once.Do(s.crowd.append.pass)
	n, err := io.Copy(io.Discard, r)
	s.appended += n
	return nil, err
}

func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// 1,000 sessions that copy 96 KiB each at once: without the budget that is 94 MiB in memory.
func TestAThousandCopiesStayWithinTheBudget(t *testing.T) {
	const (
		sessions = 1000
		messages = 8
		size     = 12 << 10
		budget   = 16 << 20
		// What a COPY takes beside: a writer of FETCH responses while it reads, a buffer of the file.
		beside = 40 << 10
	)
	if files := maxFiles(); files < 2*sessions {
		t.Skip("only", files, "open files are allowed here")
	}
	crowd, content := newCrowd(sessions), strings.Repeat("x", size)
	var all []*crowdSession
	newSession := copymeta.Wrap(func(
		*imapserver.Conn,
	) (imapserver.Session, *imapserver.GreetingData, error) {
		s := &crowdSession{backend: newBackend(), crowd: crowd}
		for range messages {
			s.mailboxes["INBOX"].add(stored{content: content})
		}
		all = append(all, s)
		return s, nil, nil
	}, &copymeta.Options{
		Flags: copymeta.Reset, MaxTotalMemory: budget, TempDir: t.TempDir(),
	})
	server := imaptest.Serve(t, newSession)
	var clients []*imaptest.Conn
	for i := range sessions {
		clients = append(clients, selected(server, fmt.Sprint("user", i), "INBOX"))
	}
	before := heap()
	var done sync.WaitGroup
	for _, c := range clients {
		done.Go(func() { assert.Equal(t, []string{"a OK COPY completed"}, c.Cmd("a COPY 1:* Archive")) })
	}
	crowd.read.all.Wait()
	reading := heap() - before
	close(crowd.read.open)
	crowd.append.all.Wait()
	appending := heap() - before
	close(crowd.append.open)
	done.Wait()
	t.Logf(
		"%d sessions copy %d KiB each: %.1f MiB while they read, %.1f MiB while they append",
		sessions, messages*size>>10, float64(reading)/(1<<20), float64(appending)/(1<<20),
	)
	assert.Less(t, reading, int64(budget+sessions*beside))
	assert.Less(t, appending, int64(budget+sessions*beside/4))
	assert.Greater(t, appending, int64(budget/2), "the budget is used")
	for _, s := range all {
		assert.EqualValues(t, messages*size, s.appended)
	}
}

// TestNothingOfTheBudgetIsLost ends COPYs in every way. Afterwards one that needs all of the
// memory, and another one that needs all of the files, is made at once.
func TestNothingOfTheBudgetIsLost(t *testing.T) {
	const memory, files = 30, 60
	type end = func(b *backend, hangUp func())
	last := func(b *backend) *stored { return b.mailboxes["INBOX"].messages[3] }
	ends := map[string]end{
		"success":         func(*backend, func()) {},
		"nothing to copy": func(b *backend, _ func()) { b.mailboxes["INBOX"].messages = nil },
		"APPEND fails":    func(b *backend, _ func()) { b.appends, b.appendError = 1, errQuota },
		"no destination":  func(b *backend, _ func()) { delete(b.mailboxes, "Archive") },
		"too large":       func(b *backend, _ func()) { last(b).size = 1000 },
		"wrong size":      func(b *backend, _ func()) { last(b).size = 14 },
		"panic in FETCH":  func(b *backend, _ func()) { b.items = panicAt(4) },
		"panic in APPEND": func(b *backend, _ func()) { b.onAppend = func() { panic("backend") } },
		"FETCH fails":     func(b *backend, _ func()) { b.failWhole = errQuota },
		"client gone":     func(b *backend, hangUp func()) { b.onAppend = goneAfter(hangUp) },
		"gone while read": func(b *backend, hangUp func()) { b.onWhole = goneAfter(hangUp) },
		"gone and no undo": func(b *backend, hangUp func()) {
			b.noUIDs, b.onAppend = true, goneAfter(hangUp)
		},
	}
	for name, end := range ends {
		for _, command := range []string{"COPY", "MOVE"} {
			t.Run(command+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					dir := filepath.Join(t.TempDir(), "files")
					require.NoError(t, os.Mkdir(dir, 0o700))
					fresh := func() *backend {
						b := newBackend()
						for i := range 4 {
							flags := []imap.Flag{imap.Flag(fmt.Sprint("flag", i))}
							b.mailboxes["INBOX"].add(stored{content: strings.Repeat("x", 20), flags: flags})
						}
						return b
					}
					var b *backend
					server := serveTelling(t, copymeta.Wrap(func(
						*imapserver.Conn,
					) (imapserver.Session, *imapserver.GreetingData, error) {
						return b, nil, nil
					}, &copymeta.Options{
						InternalDate: copymeta.Reset, Move: true, MaxMemory: memory, MaxTotalMemory: memory,
						MaxTotalBytes: files, TempDir: dir, Logger: nobody{},
					}))
					for range 5 {
						b = fresh()
						c, hangUp := server.selected()
						end(b, hangUp)
						c.Send("a " + command + " 1:* Archive")
						time.Sleep(time.Minute)
						synctest.Wait()
						c.Close()
					}
					assertEmpty(t, dir)

					b = fresh()
					c, _ := server.selected() // 20 bytes in memory and 60 in the file, which is all it has
					start := time.Now()
					assert.True(t, imaptest.IsOK(c.Cmd("a COPY 1:* Archive")))
					assert.Zero(t, time.Since(start))
					b = newBackend(stored{content: strings.Repeat("x", memory)})
					require.NoError(t, os.Remove(dir)) // then there is no file to go to
					c, _ = server.selected()
					assert.True(t, imaptest.IsOK(c.Cmd("a COPY 1 Archive")))
				})
			})
		}
	}
}

type nobody struct{}

func (nobody) Printf(string, ...any) {}

func panicAt(
	nth int,
) func(w *imapserver.FetchResponseWriter, m *stored, options *imap.FetchOptions) {
	return func(w *imapserver.FetchResponseWriter, m *stored, options *imap.FetchOptions) {
		if int(m.uid) == nth && len(options.BodySection) > 0 {
			panic("backend")
		}
		writeItems(w, m, options)
	}
}

// goneAfter hangs up, and gives the server time to find out.
func goneAfter(hangUp func()) func() {
	var once sync.Once
	return func() {
		once.Do(hangUp)
		time.Sleep(time.Second)
	}
}

// waiting is a backend that appends nothing until it is told to.
type waiting struct {
	*backend
	next chan struct{}
}

func (w *waiting) Append(
	name string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	<-w.next
	return w.backend.Append(name, r, options)
}

// copying is a server whose files have room for 100 bytes in all, and whose sessions have a message
// of each size, by its UID, and append one when they are told to.
type copying struct {
	t      *testing.T
	server *tellingServer
	next   chan struct{}
	last   *backend
	users  int
}

func newCopying(t *testing.T, options copymeta.Options) *copying {
	c := &copying{t: t, next: make(chan struct{})}
	options.Flags, options.TempDir, options.MaxTotalBytes = copymeta.Reset, t.TempDir(), 100
	c.server = serveTelling(t, copymeta.Wrap(func(
		*imapserver.Conn,
	) (imapserver.Session, *imapserver.GreetingData, error) {
		c.last = newBackend()
		for size := range 120 {
			c.last.mailboxes["INBOX"].add(stored{content: strings.Repeat("x", size+1)})
		}
		return &waiting{c.last, c.next}, nil, nil
	}, &options))
	return c
}

// copy begins the COPY of one message of the size by a user who does nothing else.
func (c *copying) copy(size int) (answer <-chan mover, b *backend, hangUp func()) {
	c.users++
	conn, hangUp := c.server.selectedBy(fmt.Sprint("user", c.users))
	return move(conn, fmt.Sprint("UID COPY ", size, " Archive")), c.last, hangUp
}

// copyBy is copy by a user who may do other things too.
func (c *copying) copyBy(user string, size int) (answer <-chan mover, b *backend) {
	conn, _ := c.server.selectedBy(user)
	return move(conn, fmt.Sprint("UID COPY ", size, " Archive")), c.last
}

func (c *copying) hasRead(b *backend) bool {
	synctest.Wait()
	return strings.HasSuffix(b.calls[len(b.calls)-1], " whole")
}

func TestACopyWaitsForRoomInTheFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCopying(t, copymeta.Options{
			MaxMemory: 1, QueueTimeout: 40 * time.Second, ProgressInterval: 15 * time.Second,
		})
		first, b1, _ := c.copy(60)
		second, b2, _ := c.copy(30)
		assert.True(t, c.hasRead(b1))
		assert.True(t, c.hasRead(b2), "100 bytes are allowed")
		third, b3, _ := c.copy(50)
		fourth, b4, _ := c.copy(10)
		assert.False(t, c.hasRead(b3))
		assert.False(t, c.hasRead(b4), "there is room, but it is not its turn")

		time.Sleep(20 * time.Second)
		c.next <- struct{}{} // any of the two
		c.next <- struct{}{}
		<-first
		<-second
		assert.True(t, c.hasRead(b3))
		assert.True(t, c.hasRead(b4))
		time.Sleep(15 * time.Second)
		c.next <- struct{}{}
		c.next <- struct{}{}
		done := "m OK [COPYUID 7 %d 41] COPY completed"
		assert.Equal(t, mover{
			[]string{isWaiting, isRunning, fmt.Sprintf(done, 50)}, 35 * time.Second,
		}, <-third)
		assert.Equal(t, mover{
			[]string{isWaiting, isRunning, fmt.Sprintf(done, 10)}, 35 * time.Second,
		}, <-fourth)
	})
}

func TestACopyDoesNotWaitForRoomForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCopying(t, copymeta.Options{MaxMemory: 1, QueueTimeout: 40 * time.Second})
		first, _, _ := c.copy(60)
		second, b2, _ := c.copy(50)
		refused := []string{"m NO [LIMIT] Too much is being copied at once - try again later"}
		assert.Equal(t, mover{refused, 40 * time.Second}, <-second)
		assert.Equal(t, []string{"FETCH 50"}, b2.calls)

		// What can never have room does not wait.
		large, _, _ := c.copy(101)
		assert.Equal(t, mover{
			[]string{"m NO [LIMIT] These messages are too large to be copied at once"}, 0,
		}, <-large)
		whole, _, _ := c.copy(100)
		synctest.Wait()
		c.next <- struct{}{}
		<-first
		c.next <- struct{}{}
		assert.True(t, imaptest.IsOK((<-whole).answer), "what has room sometimes waits")
	})
}

// However much one user copies, half of the files is for the others.
func TestOneUserCannotHaveAllFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCopying(t, copymeta.Options{MaxMemory: 1, QueueTimeout: 40 * time.Second})
		var greedy []<-chan mover
		var read []bool
		for range 10 {
			answer, b := c.copyBy("karen", 20)
			greedy, read = append(greedy, answer), append(read, c.hasRead(b))
		}
		assert.Equal(t, append([]bool{true, true}, make([]bool, 8)...), read)
		other, b := c.copyBy("bob", 50)
		assert.True(t, c.hasRead(b))
		large, b := c.copyBy("KAREN", 90)
		assert.False(t, c.hasRead(b), "the same user")
		for range 12 {
			c.next <- struct{}{}
			synctest.Wait()
		}
		for _, answer := range append(greedy, other, large) {
			assert.True(t, imaptest.IsOK((<-answer).answer))
		}
		// A single COPY may need more than half, and leaves none of it behind.
		for range 2 {
			alone, b := c.copyBy("karen", 100)
			assert.True(t, c.hasRead(b))
			c.next <- struct{}{}
			assert.True(t, imaptest.IsOK((<-alone).answer))
		}
	})
}

// Without a timeout it waits until there is room, or its client is gone, which holds up nobody
// then.
func TestACopyThatWaitsForRoomStopsWhenItsClientIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCopying(t, copymeta.Options{MaxMemory: 1})
		first, _, _ := c.copy(60)
		conn, hangUp := c.server.selected()
		b2 := c.last
		conn.Send("a UID COPY 50 Archive", "b STORE 1 +FLAGS (\\Deleted)")
		synctest.Wait()
		third, b3, _ := c.copy(40)
		time.Sleep(time.Hour)
		assert.False(t, c.hasRead(b3))
		hangUp()
		time.Sleep(time.Second)
		assert.True(t, c.hasRead(b3))
		assert.Equal(t, []string{"FETCH 50"}, b2.calls)
		c.next <- struct{}{}
		c.next <- struct{}{}
		assert.True(t, imaptest.IsOK((<-first).answer))
		assert.True(t, imaptest.IsOK((<-third).answer))
	})
}

// Who waits for a file gives the memory up, so that small copies do not have to wait behind it.
func TestWhoWaitsHoldsNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCopying(t, copymeta.Options{MaxMemory: 30, MaxTotalMemory: 30})
		first, _, _ := c.copy(90)
		conn, _ := c.server.selected()
		second := move(conn, "UID COPY 20,80 Archive") // all that the files have room for
		third, b3, _ := c.copy(30)
		assert.True(t, c.hasRead(b3), "in memory")
		for range 2 {
			c.next <- struct{}{}
		}
		<-first
		<-third
		c.next <- struct{}{}
		c.next <- struct{}{}
		assert.Equal(t, []string{"m OK [COPYUID 7 20,80 41:42] COPY completed"}, (<-second).answer)
	})
}

// A COPY that is larger than all files, of which a part is in memory, waits for the rest.
func TestACopyThatFitsOnlyWithMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCopying(t, copymeta.Options{MaxMemory: 30, MaxTotalMemory: 30})
		first, _, _ := c.copy(90)
		conn, _ := c.server.selected()
		second := move(conn, "UID COPY 20,95 Archive")
		c.next <- struct{}{}
		<-first
		c.next <- struct{}{}
		c.next <- struct{}{}
		assert.Equal(t, []string{"m OK [COPYUID 7 20,95 41:42] COPY completed"}, (<-second).answer)
	})
}

// What is over goes to the file sooner: nobody waits for memory.
func TestNobodyWaitsForMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCopying(t, copymeta.Options{MaxTotalMemory: 50})
		first, b1, _ := c.copy(50)
		second, b2, _ := c.copy(1)
		assert.True(t, c.hasRead(b1))
		assert.True(t, c.hasRead(b2))
		assert.Equal(t, int64(1), fileBytes(t))
		c.next <- struct{}{}
		c.next <- struct{}{}
		assert.True(t, imaptest.IsOK((<-first).answer))
		assert.True(t, imaptest.IsOK((<-second).answer))
	})
}

// However much one user copies, half of the memory is for the others.
func TestOneUserCannotHaveAllMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCopying(t, copymeta.Options{MaxTotalMemory: 60})
		var answers []<-chan mover
		for _, user := range []string{"karen", "KAREN", "bob"} {
			answer, b := c.copyBy(user, 20)
			answers = append(answers, answer)
			assert.True(t, c.hasRead(b))
		}
		assert.Equal(t, int64(20), fileBytes(t), "the second COPY of one user")
		for range answers {
			c.next <- struct{}{}
		}
		for _, answer := range answers {
			assert.True(t, imaptest.IsOK((<-answer).answer))
		}
	})
}

// fileBytes returns how many bytes the temporary files have that are open. They have no names.
func fileBytes(t *testing.T) (bytes int64) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux shows what is open")
	}
	open, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	for _, file := range open {
		name := "/proc/self/fd/" + file.Name()
		if target, _ := os.Readlink(name); strings.Contains(target, "imapgate-copy-") {
			if info, err := os.Stat(name); err == nil {
				bytes += info.Size()
			}
		}
	}
	return bytes
}

// 200 sessions that copy 10 bytes each never have more than 100 bytes in their files.
func TestTheFilesOfAllStayWithinTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCopying(t, copymeta.Options{MaxMemory: 1})
		var all []<-chan mover
		for range 200 {
			answer, _, _ := c.copy(10)
			all = append(all, answer)
		}
		for range 200 {
			synctest.Wait()
			assert.LessOrEqual(t, fileBytes(t), int64(100))
			c.next <- struct{}{}
		}
		for _, answer := range all {
			assert.True(t, imaptest.IsOK((<-answer).answer))
		}
		assert.Zero(t, fileBytes(t))
	})
}

// Two Wraps have a budget each.
func TestTheBudgetIsThatOfOneWrap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := copymeta.Options{MaxMemory: 1}
		a, b := newCopying(t, options), newCopying(t, options)
		first, _, _ := a.copy(100)
		second, b2, _ := b.copy(100)
		assert.True(t, b.hasRead(b2))
		a.next <- struct{}{}
		b.next <- struct{}{}
		<-first
		<-second
	})
}
