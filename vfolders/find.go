package vfolders

import (
	"errors"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/capture"
)

// folder is a virtual folder that was found.
type folder struct {
	delim       rune
	hasChildren bool
}

// enough is how many mailboxes find looks at after it has found something below a folder. Behind
// them it asks whether there is a mailbox of the folder's name instead of reading on.
const enough = 100

var errEnough = errors.New("vfolders: no more of the list is needed")

// find looks for a virtual folder of that name, and returns nil if there is none.
func (s *session) find(name string) (*folder, error) {
	if !canBeVirtual(name) || !s.options.mayCover(name) {
		return nil, nil
	}
	found, isReal, more := &folder{}, false, 0
	look := func(data *imap.ListData) error {
		switch {
		case data.Mailbox == name && !isNotSelectable(data):
			isReal = true
		case !found.hasChildren && isAncestor(name, data.Mailbox, data.Delim):
			found.delim, found.hasChildren = data.Delim, true
		}
		if found.hasChildren {
			more++
		}
		if more > enough && cut(name) == name {
			return errEnough
		}
		return nil
	}
	err := s.backendList("", startingWith(name), &imap.ListOptions{}, look)
	if errors.Is(err, errEnough) && !isReal {
		more = 0
		err = s.backendList("", exactly(name), &imap.ListOptions{}, look)
	}
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err != nil || isReal {
		return nil, err
	}
	if found.hasChildren && s.options.covers(name, found.delim) {
		return found, nil
	}
	if delim, ok := s.roots()[name]; ok {
		return &folder{delim: delim}, nil
	}
	return nil, nil
}

// backendList hands over what the backend lists.
func (s *session) backendList(
	ref string, patterns []string, options *imap.ListOptions, each func(*imap.ListData) error,
) error {
	return capture.List(options, func(w *imapserver.ListWriter) error {
		return s.Session.List(w, ref, patterns, options)
	}, each)
}

// toOpen looks for a virtual folder that a client wants to open, which the backend has refused with
// err. Some backends refuse one that does not exist with an error that is no answer, such as that
// of a missing file. If LIST shows that there is no such mailbox, that error was none of the
// backend's troubles.
func (s *session) toOpen(mailbox string, err error) (*folder, error) {
	if err != nil && !errors.As(err, new(*imap.Error)) {
		return s.orError(mailbox, err)
	}
	return s.instead(mailbox, err)
}

// instead looks for a virtual folder of a name about which the backend has said err. If there is
// none, the error is what to answer.
func (s *session) instead(mailbox string, err error) (*folder, error) {
	if !isMissing(err) {
		return nil, err
	}
	return s.orError(mailbox, err)
}

func (s *session) orError(mailbox string, err error) (*folder, error) {
	found, findErr := s.find(mailbox)
	if found == nil && findErr == nil {
		return nil, err
	}
	return found, findErr
}

// isMissing tells whether a backend's answer may mean that it has no such mailbox.
func isMissing(err error) bool {
	return isNo(
		err, "", imap.ResponseCodeNonExistent, imap.ResponseCodeTryCreate, imap.ResponseCodeCannot,
		imap.ResponseCodeNoPerm,
	)
}

// isNo tells whether an error is a NO with one of the codes.
func isNo(err error, codes ...imap.ResponseCode) bool {
	var answer *imap.Error
	return errors.As(err, &answer) && answer.Type == imap.StatusResponseTypeNo &&
		slices.Contains(codes, answer.Code)
}
