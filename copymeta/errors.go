package copymeta

import (
	"errors"
	"fmt"

	"github.com/emersion/go-imap/v2"
)

// ErrTooLarge is the answer to a COPY of more than [Options.MaxBytes]. Nothing was copied.
var ErrTooLarge = &imap.Error{
	Type: imap.StatusResponseTypeNo,
	Code: imap.ResponseCodeLimit,
	Text: "These messages are too large to be copied at once",
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

// incomplete is the answer to a COPY that would lose something.
func incomplete(uid imap.UID, reason string) error {
	return &imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeServerBug,
		Text: fmt.Sprintf(
			"Message with UID %d cannot be read completely (%s), nothing was copied", uid, reason,
		),
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
		answer.Code = imapErr.Code
		answer.Text += ": " + imapErr.Text
	} else {
		s.options.logf("copymeta: %s: %q", answer.Text, cause.Error())
	}
	return answer
}
