package vfolders

import "github.com/emersion/go-imap/v2"

// The answers to what the backend refuses to do with a virtual folder.
var (
	// ErrCannot is the answer to APPEND, COPY and MOVE into a virtual folder, and to DELETE, RENAME,
	// SUBSCRIBE and UNSUBSCRIBE of one.
	ErrCannot = &imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeCannot,
		Text: "This folder only holds other folders",
	}
	// ErrExists is the answer to CREATE of a virtual folder, and to RENAME to the name of one.
	ErrExists = &imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeAlreadyExists,
		Text: "This folder exists already, to hold other folders",
	}
)

// The answers to a LIST for which there is no memory.
var (
	// ErrTooManyLists is the answer to a LIST that has waited too long for memory.
	ErrTooManyLists = &imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeLimit,
		Text: "Too many lists of folders at once - try again later",
	}
	// ErrListTooLarge is the answer to a LIST that needs more than Options.MaxTotalMemory.
	ErrListTooLarge = &imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeLimit,
		Text: "This list of folders is too large",
	}
)
