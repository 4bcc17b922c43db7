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

// enough is how many more mailboxes find looks at when it has found one below the folder. Then it
// leaves the list, and asks for a mailbox of the folder's own name.
const enough = 100

var errEnough = errors.New("vfolders: no more of the list is needed")

// find looks for a virtual folder of that name, and returns nil if there is none.
func (s *session) find(name string) (*folder, error) {
	if !canBeVirtual(name) || !s.options.mayCover(name) {
		return nil, nil
	}
	found, isReal, more := &folder{}, false, 0
	mayStop := cut(name) == name // or else its wildcards would reach the backend
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
		if more > enough && mayStop {
			return errEnough
		}
		return nil
	}
	err := s.backendList("", startingWith(name), &imap.ListOptions{}, look)
	if errors.Is(err, errEnough) && !isReal {
		mayStop = false
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

// backendList calls each with every mailbox that the backend lists. The backend may change what it
// is given.
func (s *session) backendList(
	ref string, patterns []string, options *imap.ListOptions, each func(*imap.ListData) error,
) error {
	given := *options
	if options.ReturnStatus != nil {
		given.ReturnStatus = new(*options.ReturnStatus)
	}
	return capture.List(options, func(w *imapserver.ListWriter) error {
		return s.Session.List(w, ref, slices.Clone(patterns), &given)
	}, each)
}

// toOpen is instead for a folder that a client wants to open. Some backends refuse what does not
// exist with an error that is no answer, such as that of a missing file. Then LIST shows whether
// there is such a mailbox.
func (s *session) toOpen(mailbox string, err error) (*folder, error) {
	if err == nil {
		s.saw(mailbox)
		return nil, nil
	}
	if s.options.Mode == NoSelect {
		return nil, err
	}
	if !errors.As(err, new(*imap.Error)) {
		return s.orError(mailbox, err)
	}
	return s.instead(mailbox, err)
}

// instead looks for a virtual folder when the backend's answer about a mailbox is err. If there is
// none, it returns the error for the client.
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
