package vfolders_test

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/imaptest"
)

var errNone = &imap.Error{
	Type: imap.StatusResponseTypeNo,
	Code: imap.ResponseCodeNonExistent,
	Text: "No such mailbox",
}

// mailbox is one that a backend lists.
type mailbox struct {
	imap.ListData
	subscribed bool
	kept       bool // it is no mailbox, but a subscription
}

// backend is a session that lists the given mailboxes in the given order, notes what it is asked
// for, and supports no message.
type backend struct {
	imaptest.Stub
	mailboxes []mailbox
	fail      error // of List
	failAfter int   // how many succeed before
	refusal   error // of Create, Delete and Rename
	keeps     bool  // subscriptions to names that are no mailboxes
	selected  string
	written   int // lines of LIST

	mu    sync.Mutex
	calls []string
}

// names returns a backend with selectable mailboxes of these names, of which those that end in "
// subscribed" are.
func names(delim rune, names ...string) *backend {
	b := &backend{}
	for _, name := range names {
		name, subscribed := strings.CutSuffix(name, " subscribed")
		b.mailboxes = append(
			b.mailboxes,
			mailbox{ListData: imap.ListData{Mailbox: name, Delim: delim}, subscribed: subscribed},
		)
	}
	return b
}

// add adds a mailbox with attributes.
func (b *backend) add(delim rune, name string, attrs ...imap.MailboxAttr) *backend {
	b.mailboxes = append(
		b.mailboxes, mailbox{ListData: imap.ListData{Mailbox: name, Delim: delim, Attrs: attrs}},
	)
	return b
}

func (b *backend) session(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	return b, nil, nil
}

func (b *backend) called(call ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, strings.Join(call, " "))
}

// took returns the calls since the last took.
func (b *backend) took() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	calls := b.calls
	b.calls = nil
	return calls
}

func (b *backend) find(name string) (*mailbox, error) {
	i := slices.IndexFunc(b.mailboxes, func(m mailbox) bool {
		return m.Mailbox == name && !isNone(m)
	})
	if i < 0 {
		return nil, errNone
	}
	return &b.mailboxes[i], nil
}

func (b *backend) List(
	w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions,
) error {
	b.called("LIST", ref, strings.Join(patterns, " "))
	for _, m := range b.mailboxes {
		matches := slices.ContainsFunc(
			patterns,
			func(pattern string) bool { return imapserver.MatchList(m.Mailbox, m.Delim, ref, pattern) },
		)
		if !matches || options.SelectSubscribed && !m.subscribed || m.kept && !options.SelectSubscribed {
			continue
		}
		if options.SelectSpecialUse && !slices.Contains(m.Attrs, imap.MailboxAttrSent) {
			continue
		}
		data := m.ListData
		if options.ReturnStatus != nil {
			data.Status, _ = b.status(m.Mailbox)
		}
		if err := w.WriteList(&data); err != nil {
			return err
		}
		b.mu.Lock()
		b.written++
		b.mu.Unlock()
	}
	if b.failAfter > 0 {
		b.failAfter--
		return nil
	}
	return b.fail
}

func (b *backend) status(name string) (*imap.StatusData, error) {
	if _, err := b.find(name); err != nil {
		return nil, err
	}
	return &imap.StatusData{
		Mailbox:     name,
		NumMessages: new(uint32(7)),
		NumRecent:   new(uint32),
		UIDNext:     8,
		UIDValidity: 9,
		NumUnseen: new(
			uint32,
		),
		NumDeleted:     new(uint32),
		Size:           new(int64),
		DeletedStorage: new(int64),
	}, nil
}

func (b *backend) Status(name string, _ *imap.StatusOptions) (*imap.StatusData, error) {
	b.called("STATUS", name)
	return b.status(name)
}

func (b *backend) Select(name string, _ *imap.SelectOptions) (*imap.SelectData, error) {
	b.called("SELECT", name)
	if _, err := b.find(name); err != nil {
		return nil, err
	}
	b.selected = name
	return &imap.SelectData{UIDValidity: 9, UIDNext: 8}, nil
}

func (b *backend) Unselect() error {
	b.called("UNSELECT")
	if b.selected == "" {
		panic("nothing is selected")
	}
	b.selected = ""
	return nil
}

func (b *backend) Create(name string, _ *imap.CreateOptions) error {
	b.called("CREATE", name)
	if b.refusal != nil {
		return b.refusal
	}
	b.mailboxes = append(b.mailboxes, mailbox{ListData: imap.ListData{Mailbox: name, Delim: '/'}})
	return nil
}

func (b *backend) Delete(name string) error {
	b.called("DELETE", name)
	if b.refusal != nil {
		return b.refusal
	}
	if _, err := b.find(name); err != nil {
		return err
	}
	b.mailboxes = slices.DeleteFunc(b.mailboxes, func(m mailbox) bool { return m.Mailbox == name })
	return nil
}

// Rename renames what is below the name too, even where there is no mailbox of that name.
func (b *backend) Rename(name, newName string, _ *imap.RenameOptions) error {
	b.called("RENAME", name, newName)
	if b.refusal != nil {
		return b.refusal
	}
	err := error(errNone)
	for i, m := range b.mailboxes {
		if below, ok := strings.CutPrefix(m.Mailbox+"/", name+"/"); ok {
			b.mailboxes[i].Mailbox = strings.TrimSuffix(newName+"/"+below, "/")
			err = nil
		}
	}
	return err
}

func (b *backend) Subscribe(name string) error {
	b.called("SUBSCRIBE", name)
	return b.subscribe(name, true)
}

func (b *backend) Unsubscribe(name string) error {
	b.called("UNSUBSCRIBE", name)
	return b.subscribe(name, false)
}

func (b *backend) subscribe(name string, subscribed bool) error {
	i := slices.IndexFunc(b.mailboxes, func(m mailbox) bool { return m.Mailbox == name })
	if i < 0 && b.keeps {
		i = len(b.mailboxes)
		b.add('/', name, imap.MailboxAttrNonExistent)
		b.mailboxes[i].kept = true
	}
	if i < 0 || isNone(b.mailboxes[i]) && !b.keeps {
		return errNone
	}
	b.mailboxes[i].subscribed = subscribed
	return nil
}

// isNone tells whether it is a name only, which is no mailbox.
func isNone(m mailbox) bool {
	return slices.Contains(m.Attrs, imap.MailboxAttrNoSelect) ||
		slices.Contains(m.Attrs, imap.MailboxAttrNonExistent)
}

func (b *backend) tryCreate(name string) error {
	if _, err := b.find(name); err != nil {
		return &imap.Error{
			Type: imap.StatusResponseTypeNo,
			Code: imap.ResponseCodeTryCreate,
			Text: "No such mailbox",
		}
	}
	return nil
}

func (b *backend) Append(
	name string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	b.called("APPEND", name)
	if err := b.tryCreate(name); err != nil {
		return nil, err
	}
	return b.Stub.Append(name, r, options)
}

func (b *backend) Copy(_ imap.NumSet, name string) (*imap.CopyData, error) {
	b.called("COPY", name)
	return nil, b.tryCreate(name)
}

func (b *backend) Poll(*imapserver.UpdateWriter, bool) error {
	if b.selected != "" {
		b.called("POLL")
	}
	return nil
}

func (b *backend) Idle(_ *imapserver.UpdateWriter, stop <-chan struct{}) error {
	b.called("IDLE")
	<-stop
	return nil
}

func (b *backend) Fetch(*imapserver.FetchWriter, imap.NumSet, *imap.FetchOptions) error {
	b.called("FETCH")
	return nil
}

func (b *backend) Store(
	*imapserver.FetchWriter, imap.NumSet, *imap.StoreFlags, *imap.StoreOptions,
) error {
	b.called("STORE")
	return nil
}

func (b *backend) Expunge(*imapserver.ExpungeWriter, *imap.UIDSet) error {
	b.called("EXPUNGE")
	return nil
}

func (b *backend) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	b.called("SEARCH")
	return b.Stub.Search(kind, criteria, options)
}

// mover is a backend with the optional interfaces.
type mover struct{ *backend }

func (m mover) session(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	return m, nil, nil
}

func (m mover) Move(_ *imapserver.MoveWriter, _ imap.NumSet, name string) error {
	m.called("MOVE", name)
	return m.tryCreate(name)
}

func (m mover) Namespace() (*imap.NamespaceData, error) { return &imap.NamespaceData{}, nil }

func (m mover) Unauthenticate() error {
	m.called("UNAUTHENTICATE")
	if m.fail != nil {
		return m.fail
	}
	m.selected = ""
	return nil
}

var errBackend = errors.New("the backend's")

// helpful adds the parent "a" where "%" hides a subscription.
type helpful struct{ *backend }

func (h helpful) session(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	return h, nil, nil
}

func (h helpful) List(
	w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions,
) error {
	if options.SelectSubscribed && slices.Equal(patterns, []string{"%"}) {
		return w.WriteList(&imap.ListData{
			Mailbox: "a", Delim: '/', Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect},
		})
	}
	return h.backend.List(w, ref, patterns, options)
}
