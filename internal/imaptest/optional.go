package imaptest

import (
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"
)

// Optional is a set of the optional interfaces that a session can have.
type Optional int

// The optional interfaces.
const (
	HasNamespace      Optional = 1 << iota // [imapserver.SessionNamespace]
	HasMove                                // [imapserver.SessionMove]
	HasSASL                                // [imapserver.SessionSASL]
	HasUnauthenticate                      // [imapserver.SessionUnauthenticate]
	HasAppendLimit                         // [imapserver.SessionAppendLimit]
	HasAll            Optional = 1<<iota - 1
)

// Full is a session that has all of them.
type Full interface {
	imapserver.SessionNamespace
	imapserver.SessionMove
	imapserver.SessionSASL
	imapserver.SessionUnauthenticate
	imapserver.SessionAppendLimit
}

// The method sets, without the Session that each of imapserver's has inside: two of those in one
// struct are ambiguous.
type (
	namespace interface {
		Namespace() (*imap.NamespaceData, error)
	}
	move interface {
		Move(w *imapserver.MoveWriter, numSet imap.NumSet, dest string) error
	}
	authenticate interface {
		AuthenticateMechanisms() []string
		Authenticate(mech string) (sasl.Server, error)
	}
	unauthenticate interface {
		Unauthenticate() error
	}
	appendLimit interface {
		AppendLimit() uint32
	}
)

// Restrict returns the session with the optional interfaces in the set, and no others. The structs
// are written out, so that no test leans on the generated ones that it is about.
func Restrict(full Full, set Optional) imapserver.Session {
	session := imapserver.Session(full)
	switch set {
	case 0:
		return struct{ imapserver.Session }{session}
	case HasNamespace:
		return struct {
			imapserver.Session
			namespace
		}{session, full}
	case HasMove:
		return struct {
			imapserver.Session
			move
		}{session, full}
	case HasNamespace | HasMove:
		return struct {
			imapserver.Session
			namespace
			move
		}{session, full, full}
	case HasSASL:
		return struct {
			imapserver.Session
			authenticate
		}{session, full}
	case HasNamespace | HasSASL:
		return struct {
			imapserver.Session
			namespace
			authenticate
		}{session, full, full}
	case HasMove | HasSASL:
		return struct {
			imapserver.Session
			move
			authenticate
		}{session, full, full}
	case HasNamespace | HasMove | HasSASL:
		return struct {
			imapserver.Session
			namespace
			move
			authenticate
		}{session, full, full, full}
	case HasUnauthenticate:
		return struct {
			imapserver.Session
			unauthenticate
		}{session, full}
	case HasNamespace | HasUnauthenticate:
		return struct {
			imapserver.Session
			namespace
			unauthenticate
		}{session, full, full}
	case HasMove | HasUnauthenticate:
		return struct {
			imapserver.Session
			move
			unauthenticate
		}{session, full, full}
	case HasNamespace | HasMove | HasUnauthenticate:
		return struct {
			imapserver.Session
			namespace
			move
			unauthenticate
		}{session, full, full, full}
	case HasSASL | HasUnauthenticate:
		return struct {
			imapserver.Session
			authenticate
			unauthenticate
		}{session, full, full}
	case HasNamespace | HasSASL | HasUnauthenticate:
		return struct {
			imapserver.Session
			namespace
			authenticate
			unauthenticate
		}{session, full, full, full}
	case HasMove | HasSASL | HasUnauthenticate:
		return struct {
			imapserver.Session
			move
			authenticate
			unauthenticate
		}{session, full, full, full}
	case HasNamespace | HasMove | HasSASL | HasUnauthenticate:
		return struct {
			imapserver.Session
			namespace
			move
			authenticate
			unauthenticate
		}{session, full, full, full, full}
	case HasAppendLimit:
		return struct {
			imapserver.Session
			appendLimit
		}{session, full}
	case HasNamespace | HasAppendLimit:
		return struct {
			imapserver.Session
			namespace
			appendLimit
		}{session, full, full}
	case HasMove | HasAppendLimit:
		return struct {
			imapserver.Session
			move
			appendLimit
		}{session, full, full}
	case HasNamespace | HasMove | HasAppendLimit:
		return struct {
			imapserver.Session
			namespace
			move
			appendLimit
		}{session, full, full, full}
	case HasSASL | HasAppendLimit:
		return struct {
			imapserver.Session
			authenticate
			appendLimit
		}{session, full, full}
	case HasNamespace | HasSASL | HasAppendLimit:
		return struct {
			imapserver.Session
			namespace
			authenticate
			appendLimit
		}{session, full, full, full}
	case HasMove | HasSASL | HasAppendLimit:
		return struct {
			imapserver.Session
			move
			authenticate
			appendLimit
		}{session, full, full, full}
	case HasNamespace | HasMove | HasSASL | HasAppendLimit:
		return struct {
			imapserver.Session
			namespace
			move
			authenticate
			appendLimit
		}{session, full, full, full, full}
	case HasUnauthenticate | HasAppendLimit:
		return struct {
			imapserver.Session
			unauthenticate
			appendLimit
		}{session, full, full}
	case HasNamespace | HasUnauthenticate | HasAppendLimit:
		return struct {
			imapserver.Session
			namespace
			unauthenticate
			appendLimit
		}{session, full, full, full}
	case HasMove | HasUnauthenticate | HasAppendLimit:
		return struct {
			imapserver.Session
			move
			unauthenticate
			appendLimit
		}{session, full, full, full}
	case HasNamespace | HasMove | HasUnauthenticate | HasAppendLimit:
		return struct {
			imapserver.Session
			namespace
			move
			unauthenticate
			appendLimit
		}{session, full, full, full, full}
	case HasSASL | HasUnauthenticate | HasAppendLimit:
		return struct {
			imapserver.Session
			authenticate
			unauthenticate
			appendLimit
		}{session, full, full, full}
	case HasNamespace | HasSASL | HasUnauthenticate | HasAppendLimit:
		return struct {
			imapserver.Session
			namespace
			authenticate
			unauthenticate
			appendLimit
		}{session, full, full, full, full}
	case HasMove | HasSASL | HasUnauthenticate | HasAppendLimit:
		return struct {
			imapserver.Session
			move
			authenticate
			unauthenticate
			appendLimit
		}{session, full, full, full, full}
	case HasNamespace | HasMove | HasSASL | HasUnauthenticate | HasAppendLimit:
		return struct {
			imapserver.Session
			namespace
			move
			authenticate
			unauthenticate
			appendLimit
		}{session, full, full, full, full, full}
	}
	panic("imaptest: no such set of optional interfaces")
}
