package chaos_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/imaptest"
)

// message is immutable, except for flags and gone, which the lock of the backend guards.
type message struct {
	uid   imap.UID
	date  time.Time
	body  []byte
	flags []imap.Flag
	gone  bool
}

type mailbox struct {
	validity uint32
	next     imap.UID
	messages []*message
}

// fullMailbox is how many messages a mailbox can hold.
const fullMailbox = 12

var (
	errNoMailbox = &imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeNonExistent,
		Text: "No such mailbox",
	}
	errTryCreate = &imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeTryCreate,
		Text: "No such mailbox",
	}
	errFull = &imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeOverQuota,
		Text: "The mailbox is full",
	}
)

// backend is a mail server with faults. Its users are all names, in any case, with the password
// "pass". Unlike imapmemserver it holds no lock while it waits or writes to a client, because in a
// bubble a goroutine that waits for a mutex stops the clock.
type backend struct {
	unit    time.Duration
	seed    uint64
	bodies  [][]byte // the first messages of each mailbox
	idles   func(user string) (leave func())
	calm    atomic.Bool
	panics  atomic.Int64
	connect atomic.Uint64

	mu    sync.Mutex
	users map[string]map[string]*mailbox
}

func (b *backend) NewSession(
	*imapserver.Conn,
) (imapserver.Session, *imapserver.GreetingData, error) {
	s := &backendSession{backend: b, faults: &faults{unit: b.unit, off: &b.calm, panics: &b.panics}}
	s.dice = rand.New(rand.NewPCG(b.seed, b.connect.Add(1)))
	if err := s.strike(context.Background()); err != nil {
		if s.roll(2) == 0 {
			return s, nil, err // only the wrappers close the session
		}
		return nil, nil, err
	}
	return s, nil, nil
}

// mailboxesLocked returns the mailboxes of the user. Some have parents that do not exist.
func (b *backend) mailboxesLocked(user string) map[string]*mailbox {
	if b.users == nil {
		b.users = make(map[string]map[string]*mailbox)
	}
	if b.users[user] == nil {
		b.users[user] = make(map[string]*mailbox)
		for i, name := range []string{"INBOX", "Work", "#users/bob/Work"} {
			m := &mailbox{validity: uint32(i + 1), next: 1}
			for n, body := range b.bodies {
				m.add(&message{body: body, date: time.Unix(int64(n), 0)})
			}
			b.users[user][name] = m
		}
	}
	return b.users[user]
}

func content(size int) []byte {
	return append([]byte("Subject: chaos\r\n\r\n"), strings.Repeat("0123456789abcdef", size/16)...)
}

func (m *mailbox) add(added *message) *imap.AppendData {
	added.uid = m.next
	m.next++
	m.messages = append(m.messages, added)
	return &imap.AppendData{UIDValidity: m.validity, UID: added.uid}
}

// backendSession is a session of the backend.
type backendSession struct {
	imaptest.Stub
	*faults
	backend *backend
	user    string
	name    string // of the selected mailbox, "" if none
	view    []*message
}

var _ imapserver.SessionMove = (*backendSession)(nil)

func (s *backendSession) Login(username, password string) error {
	if err := s.strike(context.Background()); err != nil {
		return err
	}
	if password != "pass" {
		return imapserver.ErrAuthFailed
	}
	s.user = strings.ToLower(username)
	return nil
}

func (s *backendSession) Close() error {
	s.strikeHard()
	return s.strike(context.Background())
}

func (s *backendSession) Select(name string, _ *imap.SelectOptions) (*imap.SelectData, error) {
	if err := s.strike(context.Background()); err != nil {
		return nil, err
	}
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	m := s.backend.mailboxesLocked(s.user)[name]
	if m == nil {
		return nil, errNoMailbox
	}
	s.name, s.view = name, slices.Clone(m.messages)
	return &imap.SelectData{
		NumMessages: uint32(len(s.view)),
		UIDValidity: m.validity,
		UIDNext:     m.next,
	}, nil
}

func (s *backendSession) Unselect() error {
	if err := s.strike(context.Background()); err != nil {
		return err
	}
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	s.name, s.view = "", nil
	return nil
}

func (s *backendSession) List(
	w *imapserver.ListWriter, ref string, patterns []string, _ *imap.ListOptions,
) error {
	for _, name := range []string{"#users/bob/Work", "INBOX", "Work"} {
		if err := s.strike(context.Background()); err != nil {
			return err
		}
		if slices.ContainsFunc(
			patterns, func(pattern string) bool { return imapserver.MatchList(name, '/', ref, pattern) },
		) {
			if err := w.WriteList(&imap.ListData{Mailbox: name, Delim: '/'}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *backendSession) Status(name string, _ *imap.StatusOptions) (*imap.StatusData, error) {
	if err := s.strike(context.Background()); err != nil {
		return nil, err
	}
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	m := s.backend.mailboxesLocked(s.user)[name]
	if m == nil {
		return nil, errNoMailbox
	}
	messages := uint32(len(m.messages))
	return &imap.StatusData{Mailbox: name, NumMessages: &messages}, nil
}

func (s *backendSession) Append(
	name string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	err := s.strike(context.Background())
	body, readErr := io.ReadAll(r)
	if err := errors.Join(err, readErr, s.strike(context.Background())); err != nil {
		return nil, err
	}
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	m, err := s.destinationLocked(name)
	if err != nil {
		return nil, err
	}
	return m.add(&message{body: body, date: options.Time, flags: options.Flags}), nil
}

func (s *backendSession) destinationLocked(name string) (*mailbox, error) {
	m := s.backend.mailboxesLocked(s.user)[name]
	switch {
	case m == nil:
		return nil, errTryCreate
	case len(m.messages) >= fullMailbox:
		return nil, errFull
	default:
		return m, nil
	}
}

// Poll reports what has changed in the mailbox.
func (s *backendSession) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	if err := s.strike(context.Background()); err != nil {
		return err
	}
	if allowExpunge {
		if err := s.writeExpunged(w.WriteExpunge); err != nil {
			return err
		}
	}
	if messages, more := s.look(); more {
		return w.WriteNumMessages(messages)
	}
	return nil
}

// look adds new messages to the view.
func (s *backendSession) look() (messages uint32, more bool) {
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	before := len(s.view)
	if s.name != "" {
		for _, m := range s.backend.mailboxesLocked(s.user)[s.name].messages {
			if before == 0 || m.uid > s.view[before-1].uid {
				s.view = append(s.view, m)
			}
		}
	}
	return uint32(len(s.view)), len(s.view) > before
}

// writeExpunged removes from the view the messages that are gone.
func (s *backendSession) writeExpunged(write func(seqNum uint32) error) error {
	for _, seqNum := range s.forget() {
		if err := write(seqNum); err != nil {
			return err
		}
	}
	return nil
}

func (s *backendSession) forget() (expunged []uint32) {
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	seqNum := uint32(1)
	s.view = slices.DeleteFunc(s.view, func(m *message) bool {
		if m.gone {
			expunged = append(expunged, seqNum)
		} else {
			seqNum++
		}
		return m.gone
	})
	return expunged
}

// Idle polls now and then.
func (s *backendSession) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	defer s.backend.idles(s.user)()
	for {
		timer := time.NewTimer(s.upTo(s.unit) + 1)
		select {
		case <-stop:
			timer.Stop()
			return s.strike(context.Background())
		case <-timer.C:
		}
		select {
		case <-stop: // if both happen at once, the next command may be running
			return nil
		default:
		}
		if err := s.Poll(w, true); err != nil {
			return err
		}
	}
}
