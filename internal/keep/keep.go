// Package keep gives a wrapped IMAP session exactly the optional interfaces of the session it
// wraps.
//
// A struct that embeds [imapserver.Session] hides [imapserver.SessionNamespace],
// [imapserver.SessionMove], [imapserver.SessionSASL], [imapserver.SessionUnauthenticate] and
// [imapserver.SessionAppendLimit] of what it embeds. The server asks for them by type assertion: a
// missing one makes it panic or leaves a command out, and one too many changes what it advertises.
package keep

import (
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"
)

//go:generate go run generate.go

// The method sets of the optional interfaces, without the Session that each of imapserver's has
// inside: two of those in one struct are ambiguous.
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

// Optional returns a session with the methods of outer, which wraps inner, and with exactly the
// optional interfaces of inner. An interface that both have is outer's, one that only inner has is
// inner's, and one that only outer has is hidden.
func Optional(outer, inner imapserver.Session) imapserver.Session {
	return combine(wrapped{Session: outer, inner: inner}, choose(outer, inner))
}

// Backend returns the session at the bottom of any number of wrappers that [Optional] made, or
// session itself.
func Backend(session imapserver.Session) imapserver.Session {
	for {
		wrapper, ok := session.(layered)
		if !ok {
			return session
		}
		_, session = wrapper.layers()
	}
}

// wrapped is what every combination has: the wrapper's methods and the session below it.
type wrapped struct {
	imapserver.Session
	inner imapserver.Session
}

// layered is what all sessions of Optional are, and no others.
type layered interface {
	layers() (outer, inner imapserver.Session)
}

func (w wrapped) layers() (outer, inner imapserver.Session) { return w.Session, w.inner }

// optional has the session that answers for each optional interface, or nil.
type optional struct {
	namespace
	move
	authenticate
	unauthenticate
	appendLimit
}

func choose(outer, inner imapserver.Session) optional {
	return optional{
		namespace:      pick[namespace](outer, inner),
		move:           pick[move](outer, inner),
		authenticate:   pick[authenticate](outer, inner),
		unauthenticate: pick[unauthenticate](outer, inner),
		appendLimit:    pick[appendLimit](outer, inner),
	}
}

func pick[T any](outer, inner imapserver.Session) T {
	if _, ok := inner.(T); !ok {
		var none T
		return none
	}
	if both, ok := outer.(T); ok {
		return both
	}
	return inner.(T)
}

// As returns the outermost T among session and the sessions that it wraps with [Optional]. T must
// be an interface that every wrapper implements that overrides what T stands for. Otherwise the
// caller would go around such a wrapper.
func As[T any](session imapserver.Session) (T, bool) {
	for {
		if t, ok := session.(T); ok {
			return t, true
		}
		wrapper, ok := session.(layered)
		if !ok {
			var none T
			return none, false
		}
		outer, inner := wrapper.layers()
		if t, ok := outer.(T); ok {
			return t, true
		}
		session = inner
	}
}
