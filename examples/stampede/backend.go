package main

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

const (
	password = "pass"
	// checkCost is the CPU time of a password check.
	checkCost = 10 * time.Millisecond
	// A SEARCH of a heavy user's mailbox reads all its messages, for 2 s. One of the ordinary user's
	// mailbox takes 50 ms.
	heavyMessages    = 400
	ordinaryMessages = 10
)

const ordinaryUser = "olga"

// heavyUsers are the users who stampede.
var heavyUsers = []string{"hans", "hilde", "hugo"}

// backend is imapmemserver with password checks and a store that cost something.
type backend struct {
	store *store
	users map[string]*account
	hash  func(username, password string) []byte

	sessions gauge // of all users
	// Of all users except the ordinary one. Fetches and searches are in the store: they wait for a
	// worker, or a worker serves them.
	checks, fetches, searches gauge
}

type account struct {
	*imapmemserver.User
	name     string
	hash     []byte
	messages int
}

func newBackend(hash func(username, password string) []byte) (*backend, error) {
	b := &backend{store: newStore(), users: make(map[string]*account), hash: hash}
	for _, name := range append([]string{ordinaryUser}, heavyUsers...) {
		a := &account{imapmemserver.NewUser(name, password), name, hash(name, password), heavyMessages}
		if name == ordinaryUser {
			a.messages = ordinaryMessages
		}
		if err := a.Create("INBOX", nil); err != nil {
			return nil, fmt.Errorf("create INBOX: %w", err)
		}
		for i := range a.messages {
			mail := fmt.Sprintf("Subject: Invoice %d\r\n\r\nPlease pay.\r\n", i)
			message := literal{strings.NewReader(mail)}
			if _, err := a.Append("INBOX", message, &imap.AppendOptions{}); err != nil {
				return nil, fmt.Errorf("append to INBOX: %w", err)
			}
		}
		b.users[name] = a
	}
	return b, nil
}

type literal struct{ *strings.Reader }

func (l literal) Size() int64 { return int64(l.Len()) }

func (b *backend) NewSession(
	*imapserver.Conn,
) (imapserver.Session, *imapserver.GreetingData, error) {
	b.sessions.enter()
	return &session{backend: b}, nil, nil
}

// waitUntilEmpty waits until all sessions are closed. It returns false if they are not in time.
func (b *backend) waitUntilEmpty(patience time.Duration) bool {
	for end := time.Now().Add(patience); b.sessionCount() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

func (b *backend) sessionCount() int {
	now, _, _ := b.sessions.counts()
	return now
}

type session struct {
	*imapmemserver.UserSession // nil before login
	backend                    *backend
	account                    *account
}

func (s *session) Close() error {
	defer s.backend.sessions.leave()
	return s.UserSession.Close()
}

func (s *session) Login(username, password string) error {
	defer s.backend.checks.count(username)()
	hashed := s.backend.hash(username, password) // for unknown users too, or the time would show it
	a := s.backend.users[username]
	if a == nil || subtle.ConstantTimeCompare(hashed, a.hash) == 0 {
		return imapserver.ErrAuthFailed
	}
	s.account, s.UserSession = a, imapmemserver.NewUserSession(a.User)
	return nil
}

func (s *session) Fetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	messages := s.account.messages
	if set, ok := numSet.(imap.SeqSet); ok {
		if nums, ok := set.Nums(); ok {
			messages = len(nums)
		}
	}
	defer s.backend.fetches.count(s.account.name)()
	if err := s.backend.store.read(messages); err != nil {
		return err
	}
	return s.UserSession.Fetch(w, numSet, options)
}

func (s *session) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	defer s.backend.searches.count(s.account.name)()
	if err := s.backend.store.read(s.account.messages); err != nil {
		return nil, err
	}
	return s.UserSession.Search(kind, criteria, options)
}

// hash costs checkCost of CPU time.
func hash(username, password string) []byte {
	key, err := pbkdf2.Key(sha256.New, password, []byte(username), iterations(), sha256.Size)
	if err != nil {
		panic(err) // only if the key length is out of range
	}
	return key
}

// iterations returns how many iterations of PBKDF2 take checkCost on this machine.
var iterations = sync.OnceValue(func() int {
	const sample = 5000
	fastest := time.Hour
	for range 5 {
		start := time.Now()
		salt := bytes.Repeat([]byte{1}, 16)
		if _, err := pbkdf2.Key(sha256.New, password, salt, sample, sha256.Size); err != nil {
			panic(err)
		}
		fastest = min(fastest, time.Since(start))
	}
	return max(1, int(sample*checkCost/max(fastest, 1)))
})
