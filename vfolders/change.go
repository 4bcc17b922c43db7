package vfolders

import (
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// into returns the answer to a command that puts messages into a mailbox, when the backend's is
// err.
func (s *session) into(mailbox string, err error) error { return s.unless(mailbox, err, ErrCannot) }

// unless returns the answer to a command about a mailbox, when the backend's is err. It is refusal
// if err may mean that there is no such mailbox, and there is a virtual folder.
func (s *session) unless(mailbox string, err, refusal error) error {
	found, err := s.instead(mailbox, err)
	if found != nil {
		return refusal
	}
	return err
}

// Append puts a message into a mailbox of the backend.
func (s *session) Append(
	mailbox string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	data, err := s.Session.Append(mailbox, r, options)
	return data, s.into(mailbox, err)
}

// Copy copies nothing from a virtual folder, and refuses to copy into one.
func (s *session) Copy(numSet imap.NumSet, dest string) (*imap.CopyData, error) {
	if s.virtual.Load() {
		return nil, nil
	}
	data, err := s.Session.Copy(numSet, dest)
	return data, s.into(dest, err)
}

// Move moves nothing from a virtual folder, and refuses to move into one.
func (s *session) Move(w *imapserver.MoveWriter, numSet imap.NumSet, dest string) error {
	if s.virtual.Load() {
		return nil
	}
	return s.into(dest, s.Session.(imapserver.SessionMove).Move(w, numSet, dest))
}

// Create asks the backend, which may make a mailbox of what is a virtual folder until then.
func (s *session) Create(mailbox string, options *imap.CreateOptions) error {
	return s.unlessExists(mailbox, s.Session.Create(mailbox, options))
}

// unlessExists returns the answer to a command that makes a mailbox, when the backend's is err. The
// name may have a delimiter at its end (RFC 9051 section 6.3.4).
func (s *session) unlessExists(mailbox string, err error) error {
	if !isMissing(err) {
		return err
	}
	found, findErr := s.find(mailbox)
	if found == nil && findErr == nil {
		last, size := utf8.DecodeLastRuneInString(mailbox)
		found, findErr = s.find(strings.TrimRight(mailbox, mailbox[len(mailbox)-size:]))
		if found != nil && found.delim != last {
			found = nil
		}
	}
	switch {
	case findErr != nil:
		return findErr
	case found != nil:
		return ErrExists
	default:
		return err
	}
}

// Delete asks the backend.
func (s *session) Delete(mailbox string) error {
	err := s.Session.Delete(mailbox)
	if err == nil {
		s.saw(mailbox)
	}
	return s.unless(mailbox, err, ErrCannot)
}

// Rename asks the backend, which may rename what is below a virtual folder.
func (s *session) Rename(mailbox, newName string, options *imap.RenameOptions) error {
	err := s.Session.Rename(mailbox, newName, options)
	if !isMissing(err) {
		return err
	}
	found, findErr := s.find(mailbox)
	switch {
	case findErr != nil:
		return findErr
	case found != nil:
		return ErrCannot
	case isNo(err, imap.ResponseCodeNonExistent):
		return err // it is about the old name
	}
	return s.unlessExists(newName, err)
}

// Subscribe asks the backend, which alone can keep a subscription.
func (s *session) Subscribe(mailbox string) error {
	return s.unless(mailbox, s.Session.Subscribe(mailbox), ErrCannot)
}

// Unsubscribe asks the backend, which alone can forget a subscription.
func (s *session) Unsubscribe(mailbox string) error {
	return s.unless(mailbox, s.Session.Unsubscribe(mailbox), ErrCannot)
}
