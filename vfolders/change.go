package vfolders

import (
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// into returns what to answer to a command that puts messages into a mailbox, of which the backend
// has said err.
func (s *session) into(mailbox string, err error) error {
	_, ok, err := s.instead(mailbox, err)
	if ok {
		return ErrCannot
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

// Copy finds nothing in a virtual folder, and puts nothing into one.
func (s *session) Copy(numSet imap.NumSet, dest string) (*imap.CopyData, error) {
	if s.virtual.Load() {
		return nil, nil
	}
	data, err := s.Session.Copy(numSet, dest)
	return data, s.into(dest, err)
}

// Move finds nothing in a virtual folder, and puts nothing into one.
func (s *session) Move(w *imapserver.MoveWriter, numSet imap.NumSet, dest string) error {
	if s.virtual.Load() {
		return nil
	}
	return s.into(dest, s.Session.(imapserver.SessionMove).Move(w, numSet, dest))
}

// exists tells whether a name for a new mailbox, which may have a delimiter at its end (RFC 9051
// section 6.3.4), is that of a virtual folder.
func (s *session) exists(name string) (bool, error) {
	_, ok, err := s.find(name)
	last, _ := utf8.DecodeLastRuneInString(name)
	if ok || err != nil || !isNotWord(last) {
		return ok, err
	}
	delim, ok, err := s.find(strings.TrimRight(name, string(last)))
	return ok && delim == last, err
}

// Create leaves to the backend all names but those of virtual folders.
func (s *session) Create(mailbox string, options *imap.CreateOptions) error {
	if ok, err := s.exists(mailbox); err != nil {
		return err
	} else if ok {
		return ErrExists
	}
	return s.Session.Create(mailbox, options)
}

// Delete leaves to the backend all names but those of virtual folders.
func (s *session) Delete(mailbox string) error {
	if _, ok, err := s.find(mailbox); err != nil {
		return err
	} else if ok {
		return ErrCannot
	}
	return s.Session.Delete(mailbox)
}

// Rename leaves to the backend all names but those of virtual folders.
func (s *session) Rename(mailbox, newName string, options *imap.RenameOptions) error {
	if _, ok, err := s.find(mailbox); err != nil {
		return err
	} else if ok {
		return ErrCannot
	}
	if ok, err := s.exists(newName); err != nil {
		return err
	} else if ok {
		return ErrExists
	}
	return s.Session.Rename(mailbox, newName, options)
}

// Subscribe succeeds for a virtual folder.
func (s *session) Subscribe(mailbox string) error {
	_, _, err := s.instead(mailbox, s.Session.Subscribe(mailbox))
	return err
}

// Unsubscribe succeeds for a virtual folder.
func (s *session) Unsubscribe(mailbox string) error {
	_, _, err := s.instead(mailbox, s.Session.Unsubscribe(mailbox))
	return err
}
