package copymeta_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/internal/imaptest"
)

// stored is a message of a backend.
type stored struct {
	uid     imap.UID
	date    time.Time
	flags   []imap.Flag
	content string
	// What FETCH says, if it is not what is stored.
	stream io.WriterTo // of size bytes
	size   int64
}

type mailbox struct {
	validity uint32
	next     imap.UID
	messages []*stored
}

func (m *mailbox) add(s stored) *stored {
	m.next++
	s.uid = m.next
	if s.size == 0 {
		s.size = int64(len(s.content))
	}
	m.messages = append(m.messages, &s)
	return &s
}

// backend is a session whose own COPY drops dates and flags, which holds a lock while FETCH writes,
// and which tells of expunged messages by its writer only. It can copy a mailbox to itself. In a
// test the fields make it fail.
type backend struct {
	imaptest.Stub
	mailboxes map[string]*mailbox
	selected  *mailbox
	mu        sync.Mutex
	callsMu   sync.Mutex
	calls     []string

	status            error // of every STATUS
	appendError       error // of the APPEND after appends others
	appends           int
	afterAppends      func()
	noUIDs            bool
	once              bool                                  // equal messages are stored once
	recreated         bool                                  // the mailbox before each APPEND
	fetch             func(w *imapserver.FetchWriter) error // instead of its own
	onSelect          func()                                // before another SELECT than the first
	expungeTakes      time.Duration
	onAppend, onWhole func() // before each, and before a FETCH of bodies
	failWhole         error
	answer            answer // instead of its own
	items             func(w *imapserver.FetchResponseWriter, m *stored, options *imap.FetchOptions)
	store             func(uids imap.UIDSet, flags *imap.StoreFlags) error // before its own
	expunge           error
}

func newBackend(messages ...stored) *backend {
	b := &backend{
		mailboxes: map[string]*mailbox{"INBOX": {validity: 1}, "Archive": {validity: 7, next: 40}},
	}
	for _, m := range messages {
		b.mailboxes["INBOX"].add(m)
	}
	return b
}

var noSuchMailbox = &imap.Error{
	Type: imap.StatusResponseTypeNo,
	Code: imap.ResponseCodeTryCreate,
	Text: "Backend has no such mailbox",
}

func (b *backend) mailbox(name string) (*mailbox, error) {
	m, ok := b.mailboxes[name]
	if !ok {
		return nil, noSuchMailbox
	}
	return m, nil
}

func (b *backend) called(call string) {
	b.callsMu.Lock()
	defer b.callsMu.Unlock()
	b.calls = append(b.calls, call)
}

// Status is what the destination is asked by. A number that no message can have is never given to
// the backend, and nobody is notified of anything.
func (b *backend) Status(name string, _ *imap.StatusOptions) (*imap.StatusData, error) {
	if b.status != nil {
		return nil, b.status
	}
	if _, ok := b.mailboxes[name]; !ok {
		return nil, &imap.Error{
			Type: imap.StatusResponseTypeNo,
			Code: imap.ResponseCodeNonExistent,
			Text: "Backend has no such mailbox",
		}
	}
	m := b.mailboxes[name]
	return &imap.StatusData{Mailbox: name, UIDValidity: m.validity, UIDNext: m.next + 1}, nil
}

func (b *backend) List(
	w *imapserver.ListWriter, ref string, patterns []string, _ *imap.ListOptions,
) error {
	for name := range b.mailboxes {
		for _, pattern := range patterns {
			if imapserver.MatchList(name, '/', ref, pattern) {
				if err := w.WriteList(&imap.ListData{Mailbox: name, Delim: '/'}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (b *backend) Namespace() (*imap.NamespaceData, error) { return &imap.NamespaceData{}, nil }

func (b *backend) Select(name string, _ *imap.SelectOptions) (*imap.SelectData, error) {
	if b.onSelect != nil && b.selected != nil {
		b.onSelect()
	}
	m, err := b.mailbox(name)
	if err != nil {
		return nil, err
	}
	b.selected = m
	return &imap.SelectData{
		UIDValidity: m.validity,
		UIDNext:     m.next + 1,
		NumMessages: uint32(len(m.messages)),
	}, nil
}

func (b *backend) each(numSet imap.NumSet, f func(seqNum uint32, m *stored) error) error {
	for i, m := range slices.Clone(b.selected.messages) {
		contains := false
		switch set := numSet.(type) {
		case imap.UIDSet:
			contains = set.Contains(m.uid)
		case imap.SeqSet:
			contains = set.Contains(uint32(i + 1))
		}
		if !contains {
			continue
		}
		if err := f(uint32(i+1), m); err != nil {
			return err
		}
	}
	return nil
}

func (b *backend) Fetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.called(fmt.Sprint("FETCH ", numSet, fetched(options)))
	if len(options.BodySection) > 0 {
		if b.onWhole != nil {
			b.onWhole()
		}
		if b.failWhole != nil {
			return b.failWhole
		}
	}
	if b.fetch != nil {
		return b.fetch(w)
	}
	if b.answer != nil {
		var asked []*stored
		b.each(numSet, func(_ uint32, m *stored) error {
			asked = append(asked, m)
			return nil
		})
		b.answer(&responder{w, asked, options})
		return nil
	}
	items := b.items
	if items == nil {
		items = writeItems
	}
	return b.each(numSet, func(seqNum uint32, m *stored) error {
		r := w.CreateMessage(seqNum)
		items(r, m, options)
		return r.Close()
	})
}

// fetched returns what a FETCH is for.
func fetched(options *imap.FetchOptions) string {
	if len(options.BodySection) > 0 {
		return " whole"
	}
	return ""
}

func writeItems(w *imapserver.FetchResponseWriter, m *stored, options *imap.FetchOptions) {
	w.WriteUID(m.uid)
	if options.Flags {
		w.WriteFlags(m.flags)
	}
	if options.InternalDate {
		w.WriteInternalDate(m.date)
	}
	for _, section := range options.BodySection {
		writeSection(w, section, m)
	}
	if options.RFC822Size {
		w.WriteRFC822Size(m.size)
	}
}

func writeSection(
	w *imapserver.FetchResponseWriter, section *imap.FetchItemBodySection, m *stored,
) {
	var content io.WriterTo = strings.NewReader(m.content)
	size := int64(len(m.content))
	if m.stream != nil {
		content, size = m.stream, m.size
	}
	body := w.WriteBodySection(section, size)
	content.WriteTo(body)
	body.Close()
}

func (b *backend) Append(
	name string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.onAppend != nil {
		b.onAppend()
	}
	b.called("APPEND")
	m, err := b.mailbox(name)
	if err != nil {
		return nil, err
	}
	if b.appends--; b.appends < 0 && b.appendError != nil {
		if b.afterAppends != nil {
			b.afterAppends()
		}
		return nil, b.appendError
	}
	var content bytes.Buffer
	if n, err := content.ReadFrom(r); err != nil || n != r.Size() {
		return nil, fmt.Errorf("literal of %d bytes has %d, %v", r.Size(), n, err)
	}
	if b.once {
		if data := b.find(m, content.String()); data != nil {
			if b.noUIDs {
				return nil, nil
			}
			return data, nil
		}
	}
	added := m.add(stored{content: content.String(), date: options.Time, flags: options.Flags})
	if b.recreated {
		m.validity++
	}
	if b.noUIDs {
		return nil, nil
	}
	return &imap.AppendData{UID: added.uid, UIDValidity: m.validity}, nil
}

// find returns what is there already: the UID of an equal message of the mailbox, or none if it is
// in another one.
func (b *backend) find(m *mailbox, content string) *imap.AppendData {
	for _, other := range b.mailboxes {
		for _, s := range other.messages {
			if s.content == content && other == m {
				return &imap.AppendData{UID: s.uid, UIDValidity: m.validity}
			}
		}
	}
	if b.selected != nil && slices.Contains(contents(b.selected), content) {
		return &imap.AppendData{UIDValidity: m.validity}
	}
	return nil
}

func (b *backend) Copy(numSet imap.NumSet, name string) (*imap.CopyData, error) {
	b.called("COPY " + numSet.String())
	m, err := b.mailbox(name)
	if err != nil {
		return nil, err
	}
	data := &imap.CopyData{UIDValidity: m.validity}
	b.each(numSet, func(_ uint32, source *stored) error {
		data.SourceUIDs.AddNum(source.uid)
		data.DestUIDs.AddNum(m.add(stored{content: source.content}).uid)
		return nil
	})
	return data, nil
}

func (b *backend) Move(*imapserver.MoveWriter, imap.NumSet, string) error {
	b.called("MOVE")
	return nil
}

func (b *backend) Store(
	_ *imapserver.FetchWriter, numSet imap.NumSet, flags *imap.StoreFlags, _ *imap.StoreOptions,
) error {
	op := map[imap.StoreFlagsOp]string{imap.StoreFlagsAdd: "+", imap.StoreFlagsDel: "-"}[flags.Op]
	b.called(fmt.Sprint("STORE ", numSet, " ", op, flags.Flags))
	if b.store != nil {
		if err := b.store(numSet.(imap.UIDSet), flags); err != nil {
			return err
		}
	}
	return b.each(numSet, func(_ uint32, m *stored) error {
		m.flags = slices.DeleteFunc(
			m.flags, func(f imap.Flag) bool { return slices.Contains(flags.Flags, f) },
		)
		if flags.Op == imap.StoreFlagsAdd {
			m.flags = append(m.flags, flags.Flags...)
		}
		return nil
	})
}

func (b *backend) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	b.called("EXPUNGE " + uids.String())
	time.Sleep(b.expungeTakes) // in a synctest bubble
	if b.expunge != nil {
		return b.expunge
	}
	var left []*stored
	for _, m := range b.selected.messages {
		if uids.Contains(m.uid) && slices.Contains(m.flags, imap.FlagDeleted) {
			if err := w.WriteExpunge(uint32(len(left) + 1)); err != nil {
				return err
			}
			continue
		}
		left = append(left, m)
	}
	b.selected.messages = left
	return nil
}

// withUndo is a backend that can take back an APPEND.
type withUndo struct {
	*backend
	err error
}

func (b *withUndo) Undo(name string, uidValidity uint32, uids imap.UIDSet) error {
	b.called(fmt.Sprint("UNDO ", name, " ", uidValidity, " ", uids))
	if b.err != nil {
		return b.err
	}
	m := b.mailboxes[name]
	m.messages = slices.DeleteFunc(m.messages, func(m *stored) bool { return uids.Contains(m.uid) })
	return nil
}

// withCopier is a backend that does it all by itself.
type withCopier struct {
	*backend
	data *imap.CopyData
	err  error
}

func (b *withCopier) CopyMeta(
	numSet imap.NumSet, dest string, date, flags copymeta.Policy,
) (*imap.CopyData, error) {
	b.called(fmt.Sprintf("COPYMETA %T %s %s %s %s", numSet, numSet, dest, date, flags))
	return b.data, b.err
}

var (
	_ copymeta.Undoer = (*withUndo)(nil)
	_ copymeta.Copier = (*withCopier)(nil)
)

var (
	errQuota = &imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeOverQuota,
		Text: "Backend is full",
	}
	errInternal = errors.New("disk\r\non fire")
)

func of(session imapserver.Session) copymeta.NewSessionFunc {
	return func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return session, nil, nil
	}
}

// open returns a client of the session, wrapped with the options, that has selected INBOX.
func open(t testing.TB, session imapserver.Session, options *copymeta.Options) *imaptest.Conn {
	c := imaptest.Serve(t, copymeta.Wrap(of(session), options)).Login("karen", "pass")
	c.Cmd("s SELECT INBOX")
	return c
}

func contents(m *mailbox) (contents []string) {
	for _, s := range m.messages {
		contents = append(contents, s.content)
	}
	return contents
}
