package copymeta

import (
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// ErrTooLarge is the answer to a COPY of more than [Options.MaxBytes], or of more than
// [Options.MaxTotalBytes] can ever have room for. Nothing was copied.
var ErrTooLarge = &imap.Error{
	Type: imap.StatusResponseTypeNo,
	Code: imap.ResponseCodeLimit,
	Text: "These messages are too large to be copied at once",
}

// ErrBusy is the answer to a COPY or MOVE for which there was no room within
// [Options.QueueTimeout], because others copy as much as [Options.MaxTotalBytes]. Nothing was
// copied.
var ErrBusy = &imap.Error{
	Type: imap.StatusResponseTypeNo,
	Code: imap.ResponseCodeLimit,
	Text: "Too much is being copied at once - try again later",
}

// ErrInUse is the answer to a MOVE of messages that others were moving for as long as
// [Options.QueueTimeout]. Nothing was moved.
var ErrInUse = &imap.Error{
	Type: imap.StatusResponseTypeNo,
	Code: imap.ResponseCodeInUse,
	Text: "Another client is moving these messages",
}

// errGone is the answer for a client that is gone. Nobody reads it, but wrappers see that it says
// nothing about the destination.
var errGone = &imap.Error{
	Type: imap.StatusResponseTypeNo,
	Code: imap.ResponseCodeUnavailable,
	Text: "The client has hung up",
}

// errReadOnly is the answer to a MOVE out of a mailbox that was opened by EXAMINE: go-imap lets it
// pass.
var errReadOnly = &imap.Error{
	Type: imap.StatusResponseTypeNo,
	Text: "The mailbox is read-only",
}

// errStillThere is why a MOVE is not complete whose EXPUNGE succeeded: another client has taken
// \Deleted off in between.
var errStillThere = &imap.Error{
	Type: imap.StatusResponseTypeNo,
	Code: imap.ResponseCodeInUse,
	Text: "another client has kept the rest",
}

// errReplaced is why a COPY or MOVE failed whose APPENDs succeeded: copies are gone.
var errReplaced = &imap.Error{
	Type: imap.StatusResponseTypeNo,
	Code: imap.ResponseCodeInUse,
	Text: "the destination was deleted meanwhile",
}

// errNotStored is why a COPY failed whose APPENDs all succeeded.
var errNotStored = &imap.Error{
	Type: imap.StatusResponseTypeNo,
	Code: imap.ResponseCodeServerBug,
	Text: "The server does not store a message a second time" + nothingCopied,
}

const nothingCopied = ", nothing was copied"

// incomplete is the answer to a COPY that would lose something.
func incomplete(uid imap.UID, reason string) error {
	return &imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeServerBug,
		Text: fmt.Sprintf("Message with UID %d cannot be read completely (%s)", uid, reason) +
			nothingCopied,
	}
}

// notStored is the answer to a COPY of a message that the backend has appended to nothing.
func notStored(uid imap.UID) error {
	return &imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeServerBug,
		Text: fmt.Sprintf("Message with UID %d was not stored a second time", uid) + nothingCopied,
	}
}

// partly is the answer to a command that went wrong in the middle. The text says how far it came;
// cause is why it went no further.
func (s *session) partly(cause error, format string, args ...any) error {
	answer := &imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeServerBug,
		Text: fmt.Sprintf(format, args...),
	}
	var imapErr *imap.Error
	if errors.As(cause, &imapErr) {
		answer.Text += ": " + strings.TrimSuffix(imapErr.Text, nothingCopied)
		if !isAboutMailbox(imapErr.Code) {
			answer.Code = imapErr.Code
		}
	} else {
		s.options.logf("copymeta: %s: %q", answer.Text, cause.Error())
	}
	return answer
}

// isAboutMailbox tells whether the code may say that there is no such mailbox. A client that reads
// TRYCREATE repeats the whole command, and a wrapper may have a virtual folder of that name by now
// and an answer of its own: neither is right when something was copied.
func isAboutMailbox(code imap.ResponseCode) bool {
	switch code {
	case "", imap.ResponseCodeTryCreate, imap.ResponseCodeNonExistent, imap.ResponseCodeCannot,
		imap.ResponseCodeNoPerm:
		return true
	}
	return false
}
