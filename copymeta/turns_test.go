package copymeta_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/internal/imaptest"
)

// store is a mail store for many sessions at once. Each user has an INBOX and an Archive, and sees
// karen's INBOX as Shared.
type store struct {
	mu        sync.Mutex
	mailboxes map[string]*mailbox // by owner and name
	takes     time.Duration       // an APPEND
}

func newStore(messages int) *store {
	s := &store{mailboxes: make(map[string]*mailbox)}
	for _, name := range []string{
		"karen INBOX", "karen Archive", "bob INBOX", "bob Archive", "eve INBOX", "eve Archive",
		"dan INBOX", "dan Archive", "fay INBOX", "fay Archive",
	} {
		s.mailboxes[name] = &mailbox{validity: 1}
	}
	s.mailboxes["dan INBOX"].validity = 2
	for i := range messages {
		s.mailboxes["karen INBOX"].add(stored{content: fmt.Sprint("message ", i)})
	}
	return s
}

// storeSession is a session of a store. It sees each change at once.
type storeSession struct {
	backend
	store *store
	user  string
}

func (s *store) NewSession(
	*imapserver.Conn,
) (imapserver.Session, *imapserver.GreetingData, error) {
	return &storeSession{store: s}, nil, nil
}

func (s *storeSession) Login(username, _ string) error {
	s.user = username
	s.mailboxes = map[string]*mailbox{
		"INBOX":   s.store.mailboxes[username+" INBOX"],
		"Archive": s.store.mailboxes[username+" Archive"],
		"Shared":  s.store.mailboxes["karen INBOX"],
	}
	return nil
}

func (s *storeSession) locked(f func()) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	f()
}

func (s *storeSession) Select(
	name string, options *imap.SelectOptions,
) (data *imap.SelectData, err error) {
	s.locked(func() { data, err = s.backend.Select(name, options) })
	return data, err
}

func (s *storeSession) Status(
	name string, options *imap.StatusOptions,
) (data *imap.StatusData, err error) {
	s.locked(func() { data, err = s.backend.Status(name, options) })
	return data, err
}

func (s *storeSession) Fetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) (err error) {
	s.locked(func() { err = s.backend.Fetch(w, numSet, options) })
	return err
}

func (s *storeSession) Append(
	name string, r imap.LiteralReader, options *imap.AppendOptions,
) (data *imap.AppendData, err error) {
	if s.store.takes > 0 {
		time.Sleep(s.store.takes) // in a synctest bubble
	}
	s.locked(func() { data, err = s.backend.Append(name, r, options) })
	return data, err
}

func (s *storeSession) Store(
	w *imapserver.FetchWriter, numSet imap.NumSet, flags *imap.StoreFlags, options *imap.StoreOptions,
) (err error) {
	s.locked(func() { err = s.backend.Store(w, numSet, flags, options) })
	return err
}

func (s *storeSession) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) (err error) {
	s.locked(func() { err = s.backend.Expunge(w, uids) })
	return err
}

// Two clients that move the same messages, as two mail programs with the same rule do, leave one
// copy of each.
func TestTwoMovesOfTheSameMessagesLeaveOneCopy(t *testing.T) {
	const messages, clients, rounds = 5, 3, 50
	for range rounds {
		s := newStore(messages)
		server := imaptest.Serve(t, copymeta.Wrap(s.NewSession, resetMove))
		start := make(chan struct{})
		var all sync.WaitGroup
		for range clients {
			c := server.Login("karen", "pass")
			c.Cmd("s SELECT INBOX")
			all.Go(func() {
				<-start
				assert.Equal(t, "OK UID MOVE completed", imaptest.Last(c.Cmd("a UID MOVE 1:* Archive")))
			})
		}
		close(start)
		all.Wait()
		assert.Empty(t, s.mailboxes["karen INBOX"].messages)
		copies := contents(s.mailboxes["karen Archive"])
		assert.Len(t, copies, messages)
		slices.Sort(copies)
		assert.Len(t, slices.Compact(copies), messages)
		server.Close()
	}
}

// The same with imapmemserver, whose sessions learn of each other's changes in their own time.
func TestTwoMovesWithImapmemserverLeaveOneCopy(t *testing.T) {
	for range 50 {
		user := karen(5)
		server := imaptest.Serve(t, copymeta.Wrap(imaptest.Memory(user), resetMove))
		var all sync.WaitGroup
		for range 2 {
			c := server.Login("karen", "pass")
			c.Cmd("s SELECT INBOX")
			all.Go(func() { c.Cmd("a UID MOVE 1:* Archive") })
		}
		all.Wait()
		status, err := user.Status("Archive", &imap.StatusOptions{NumMessages: true})
		assert.NoError(t, err)
		assert.EqualValues(t, 5, *status.NumMessages)
		server.Close()
	}
}

// mover is a client who moves, and how long that took.
type mover struct {
	answer []string
	took   time.Duration
}

// move starts a MOVE and returns where its end can be awaited.
func move(c *imaptest.Conn, command string) <-chan mover {
	start, end := time.Now(), make(chan mover, 1)
	c.Send("m " + command)
	go func() {
		answer := c.Answer("m")
		end <- mover{answer, time.Since(start)}
	}()
	synctest.Wait()
	return end
}

func selected(server *imaptest.Server, user, mailbox string) *imaptest.Conn {
	c := server.Login(user, "pass")
	c.Cmd("s SELECT " + mailbox)
	return c
}

// Somebody may see the mailbox under another name; and who moves other messages does not wait.
func TestMovesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(6)
		s.takes = 10 * time.Second
		s.mailboxes["eve INBOX"].add(stored{content: "another size than karen's"})
		s.mailboxes["dan INBOX"].add(stored{content: "message 0"})
		s.mailboxes["fay INBOX"].add(stored{content: "message 0", date: past})
		options := *resetMove
		options.ProgressInterval = 14 * time.Second
		server := imaptest.Serve(t, copymeta.Wrap(s.NewSession, &options))
		karen := move(selected(server, "karen", "INBOX"), "UID MOVE 1:3 Archive")
		bob := move(selected(server, "bob", "Shared"), "UID MOVE 3:4 Archive")
		others := move(selected(server, "karen", "INBOX"), "UID MOVE 5:6 Archive")
		third := move(selected(server, "karen", "INBOX"), "UID MOVE 2,4 Archive")
		eve := move(selected(server, "eve", "INBOX"), "UID MOVE 1 Archive")
		dan := move(selected(server, "dan", "INBOX"), "UID MOVE 1 Archive")

		fay := move(selected(server, "fay", "INBOX"), "UID MOVE 1 Archive")

		for _, other := range []<-chan mover{eve, dan, fay} {
			assert.Equal(t, mover{[]string{
				"* OK [COPYUID 1 1 1] COPY completed", "* 1 EXPUNGE", "m OK UID MOVE completed",
			}, 10 * time.Second}, <-other)
		}
		got := <-others
		assert.Equal(t, 20*time.Second, got.took)
		assert.Contains(t, got.answer[1], "* OK [COPYUID 1 5:6 ")
		got = <-karen
		assert.Equal(t, 30*time.Second, got.took)
		assert.Contains(t, strings.Join(got.answer, "\n"), "* OK [COPYUID 1 1:3 ")

		// The third message is gone by now: bob gets the fourth.
		got = <-bob
		assert.Equal(t, 40*time.Second, got.took)
		assert.Equal(t, []string{
			isWaiting, isWaiting, "* OK [COPYUID 1 4 1] COPY completed", "* 1 EXPUNGE",
			"m OK UID MOVE completed",
		}, got.answer)
		// For this one nothing is left.
		assert.Equal(t, mover{
			[]string{isWaiting, isWaiting, "m OK UID MOVE completed"}, 40 * time.Second,
		}, <-third)
		assert.Len(t, s.mailboxes["karen Archive"].messages, 5)
		assert.Len(t, s.mailboxes["bob Archive"].messages, 1)
		assert.Empty(t, s.mailboxes["karen INBOX"].messages)
	})
}

func TestAMoveDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(2)
		s.takes = time.Minute
		options := *resetMove
		options.QueueTimeout = 40 * time.Second
		server := imaptest.Serve(t, copymeta.Wrap(s.NewSession, &options))
		first := move(selected(server, "karen", "INBOX"), "MOVE 1 Archive")
		second := move(selected(server, "karen", "INBOX"), "MOVE 1:2 Archive")
		time.Sleep(10 * time.Second)
		third := move(selected(server, "karen", "INBOX"), "MOVE 2 Archive")
		assert.Equal(t, mover{
			[]string{"m NO [INUSE] Another client is moving these messages"}, 40 * time.Second,
		}, <-second)
		assert.Equal(t, time.Minute, (<-first).took)
		assert.Equal(t, 90*time.Second, (<-third).took, "it has waited behind the second")
		assert.Len(t, s.mailboxes["karen Archive"].messages, 2)
	})
}

// Who gives up in the queue lets those pass who wait behind, but only those who wait for nobody
// else.
func TestLeavingTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(3)
		s.takes = 10 * time.Second
		server := serveTelling(t, copymeta.Wrap(s.NewSession, resetMove))
		first, _ := server.selected()
		second, hangUp := server.selected()
		third, _ := server.selected()
		fourth, _ := server.selected()
		one := move(first, "MOVE 1 Archive")
		second.Send("a MOVE 1:3 Archive", "b STORE 1:* +FLAGS (\\Deleted)", "c EXPUNGE")
		synctest.Wait()
		two := move(third, "MOVE 1:2 Archive")
		three := move(fourth, "MOVE 3 Archive")
		last, hangUpToo := server.selected()
		last.Send("a MOVE 1 Archive")
		synctest.Wait()
		hangUpToo()
		time.Sleep(3 * time.Second)
		hangUp()
		assert.Equal(t, 10*time.Second, (<-one).took)
		got := (<-three).took
		assert.GreaterOrEqual(t, got, 13*time.Second)
		assert.LessOrEqual(t, got, 13*time.Second+500*time.Millisecond)
		assert.Equal(t, 20*time.Second, (<-two).took)
		assert.Len(t, s.mailboxes["karen Archive"].messages, 3)
	})
}

// The turn comes back however a MOVE ends.
func TestAMoveGivesTheMessagesBack(t *testing.T) {
	for name, fail := range map[string]func(w *imapserver.FetchWriter) error{
		"error": func(*imapserver.FetchWriter) error { return errQuota },
		"panic": func(*imapserver.FetchWriter) error { panic("backend") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBackend(stored{content: "one"})
				failing := &failingReads{backend: b, fail: fail}
				server := imaptest.Serve(t, copymeta.Wrap(of(failing), resetMove))
				c := selected(server, "karen", "INBOX")
				c.Send("a MOVE 1 Archive")
				if name == "panic" {
					assert.Empty(t, c.Rest())
				} else {
					assert.Equal(t, []string{"a NO [OVERQUOTA] Backend is full"}, c.Answer("a"))
				}
				failing.fail = nil
				start := time.Now()
				c = selected(server, "karen", "INBOX")
				assert.True(t, imaptest.IsOK(c.Cmd("b MOVE 1 Archive")))
				assert.Zero(t, time.Since(start))
			})
		})
	}
}

// failingReads is a backend that can be looked at, but not read from.
type failingReads struct {
	*backend
	fail func(w *imapserver.FetchWriter) error
}

func (f *failingReads) Fetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	if f.fail != nil && len(options.BodySection) > 0 {
		return f.fail(w)
	}
	return f.backend.Fetch(w, numSet, options)
}

// A Copier is asked for what is there only when its turn has come.
func TestCopiersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &slowCopier{withCopier{backend: newBackend(stored{content: "one"}, stored{content: "two"})}}
		server := imaptest.Serve(t, copymeta.Wrap(of(b), resetMove))
		first := move(selected(server, "karen", "INBOX"), "MOVE 1 Archive")
		second := move(selected(server, "karen", "INBOX"), "MOVE 1:2 Archive")
		assert.Equal(t, []string{"* 1 EXPUNGE", "m OK MOVE completed"}, (<-first).answer)
		assert.Equal(t, []string{"* 1 EXPUNGE", "m OK MOVE completed"}, (<-second).answer)
		assert.Contains(t, b.calls, "COPYMETA imap.UIDSet 1 Archive reset reset")
		assert.Contains(t, b.calls, "COPYMETA imap.UIDSet 2 Archive reset reset")
	})
}

// A client that does not read what it is told of a MOVE holds up nobody else.
func TestAMoverThatDoesNotReadHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(5000)
		server := imaptest.Serve(t, copymeta.Wrap(s.NewSession, resetMove))
		first := selected(server, "karen", "INBOX")
		first.Send("a MOVE 1:* Archive") // with more to tell than the connection takes
		synctest.Wait()
		start := time.Now()
		second := selected(server, "karen", "INBOX")
		assert.True(t, imaptest.IsOK(second.Cmd("a MOVE 1:* Archive")))
		assert.Zero(t, time.Since(start))
		assert.Len(t, s.mailboxes["karen Archive"].messages, 5000)
	})
}

// A backend that sends its sets on to another server must not get ones that are longer than a line
// may be there, whatever gaps there are between the messages.
func TestSetsAreNotTooLong(t *testing.T) {
	b := newBackend()
	for range 1600 {
		b.mailboxes["INBOX"].next++
		b.mailboxes["INBOX"].add(stored{content: "x"})
	}
	c := open(t, &shortSets{b, t}, resetMove)
	c.Cmd("a STORE 1600 +FLAGS.SILENT (\\Flagged)")
	assert.Contains(t, imaptest.Last(c.Cmd("b COPY 1:* Archive")), "OK [COPYUID ")
	assert.Len(t, b.mailboxes["Archive"].messages, 1600)
	answer := c.Cmd("c MOVE 1:* Archive")
	assert.Len(t, answer, 1602)
	assert.Len(t, b.mailboxes["Archive"].messages, 3200)
	assert.Empty(t, b.mailboxes["INBOX"].messages)
}

type shortSets struct {
	*backend
	t *testing.T
}

func (s *shortSets) check(set imap.NumSet) {
	assert.Less(s.t, strings.Count(set.String(), ","), 500)
	assert.NotEmpty(s.t, set.String())
}

func (s *shortSets) Fetch(
	w *imapserver.FetchWriter, set imap.NumSet, options *imap.FetchOptions,
) error {
	s.check(set)
	return s.backend.Fetch(w, set, options)
}

func (s *shortSets) Store(
	w *imapserver.FetchWriter, set imap.NumSet, flags *imap.StoreFlags, options *imap.StoreOptions,
) error {
	s.check(set)
	return s.backend.Store(w, set, flags, options)
}

func (s *shortSets) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	s.check(uids)
	return s.backend.Expunge(w, uids)
}

// meddled is a backend where somebody else expunges messages when the last one has been appended.
// The copies of those are taken out again.
type meddled struct {
	*backend
	uids   imap.UIDSet
	undone []imap.UIDSet
	undo   error

	failLook bool // after an APPEND
}

func (m *meddled) Append(
	name string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	data, err := m.backend.Append(name, r, options)
	if m.failLook {
		m.fetch = func(*imapserver.FetchWriter) error { return errInternal }
	}
	if inbox := m.mailboxes["INBOX"]; len(m.mailboxes["Archive"].messages) == 3 {
		inbox.messages = slices.DeleteFunc(
			inbox.messages, func(s *stored) bool { return m.uids.Contains(s.uid) },
		)
	}
	return data, err
}

func (m *meddled) Undo(_ string, _ uint32, uids imap.UIDSet) error {
	m.undone = append(m.undone, uids)
	if m.undo != nil {
		return m.undo
	}
	archive := m.mailboxes["Archive"]
	archive.messages = slices.DeleteFunc(
		archive.messages, func(s *stored) bool { return uids.Contains(s.uid) },
	)
	return nil
}

func TestTheCopyOfAMessageThatSomebodyElseExpunged(t *testing.T) {
	for _, test := range []struct {
		uids    imap.UIDSet
		undo    error
		want    []string
		archive []string
	}{
		{imap.UIDSetNum(2), nil, []string{
			"* OK [COPYUID 7 1,3 41,43] COPY completed", "* 1 EXPUNGE", "* 1 EXPUNGE", "a OK MOVE completed",
		}, []string{"one", "three"}},
		{imap.UIDSetNum(1, 3), nil, []string{
			"* OK [COPYUID 7 2 42] COPY completed", "* 1 EXPUNGE", "a OK MOVE completed",
		}, []string{"two"}},
		{imap.UIDSetNum(1, 2, 3), nil, []string{"a OK MOVE completed"}, nil},
		// Where that fails, the message is in the destination only, as was asked for.
		{imap.UIDSetNum(2), errInternal, []string{
			"* OK [COPYUID 7 1:3 41:43] COPY completed", "* 1 EXPUNGE", "* 1 EXPUNGE", "a OK MOVE completed",
		}, []string{"one", "two", "three"}},
	} {
		m := &meddled{
			backend: newBackend(stored{content: "one"}, stored{content: "two"}, stored{content: "three"}),
			uids:    test.uids, undo: test.undo,
		}
		c := open(t, m, resetMove)
		assert.Equal(t, test.want, c.Cmd("a MOVE 1:* Archive"))
		assert.Equal(t, test.archive, contents(m.mailboxes["Archive"]))
		assert.Empty(t, m.mailboxes["INBOX"].messages)
		assert.Len(t, m.undone, 1)
	}
}

// If nobody knows any more which of the messages are there, the copies stay.
func TestAMoveThatCannotLookAgain(t *testing.T) {
	m := &meddled{backend: newBackend(stored{content: "one"}), failLook: true}
	options := *resetMove
	options.Logger = nobody{}
	c := open(t, m, &options)
	assert.Equal(
		t, []string{"a NO [SERVERBUG] 1 messages were copied, but none was moved"},
		c.Cmd("a MOVE 1 Archive"),
	)
	assert.Len(t, m.mailboxes["INBOX"].messages, 1)
	assert.Empty(t, m.mailboxes["INBOX"].messages[0].flags)
	assert.Len(t, m.mailboxes["Archive"].messages, 1)
	assert.Empty(t, m.undone)
}

// "*" stands for another message by the time that the turn has come. That one is not copied, where
// the backend is asked to copy nothing because it does not let the client ask for the destination.
func TestAMoveWhoseMessagesAreGoneCopiesNoOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(1)
		s.takes = 2 * time.Second
		var sessions []*storeSession
		server := imaptest.Serve(t, copymeta.Wrap(
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				sessions = append(sessions, &storeSession{store: s})
				return sessions[len(sessions)-1], nil, nil
			}, resetMove,
		))
		karen, bob := server.Login("karen", "pass"), server.Login("bob", "pass")
		karen.Cmd("s SELECT INBOX")
		bob.Cmd("s SELECT Shared")
		sessions[1].status = noSuchMailbox
		karen.Send("a UID MOVE 1:* Archive")
		synctest.Wait()
		bob.Send("b UID MOVE 1:* Archive")
		synctest.Wait()
		sessions[1].locked(func() { s.mailboxes["karen INBOX"].add(stored{content: "new"}) })
		assert.True(t, imaptest.IsOK(karen.Answer("a")))
		assert.Equal(t, "OK UID MOVE completed", imaptest.Last(bob.Answer("b")))
		assert.Equal(t, []string{"new"}, contents(s.mailboxes["karen INBOX"]))
		assert.Empty(t, s.mailboxes["bob Archive"].messages)
	})
}

// A server may have a Wrap for each of its listeners, and gets a new one when its options change,
// while sessions of the old one go on.
func TestMovesOfSeveralWrapsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(1)
		s.takes = 2 * time.Second
		var clients []*imaptest.Conn
		for range 2 {
			server := imaptest.Serve(t, copymeta.Wrap(s.NewSession, resetMove))
			c := server.Login("karen", "pass")
			c.Cmd("s SELECT INBOX")
			c.Send("a MOVE 1 Archive")
			clients = append(clients, c)
		}
		for _, c := range clients {
			assert.Equal(t, "OK MOVE completed", imaptest.Last(c.Answer("a")))
		}
		assert.Equal(t, []string{"message 0"}, contents(s.mailboxes["karen Archive"]))
	})
}
