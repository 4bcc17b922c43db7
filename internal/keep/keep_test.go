package keep_test

import (
	"fmt"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/keep"
)

// who answers for an optional interface by recording its own name.
type who struct {
	name   string
	called *string
}

type (
	hasNamespace      who
	hasMove           who
	hasSASL           who
	hasUnauthenticate who
	hasAppendLimit    who
)

func (h hasNamespace) Namespace() (*imap.NamespaceData, error) {
	*h.called = h.name
	return nil, nil
}
func (h hasMove) Move(*imapserver.MoveWriter, imap.NumSet, string) error {
	*h.called = h.name
	return nil
}
func (h hasSASL) AuthenticateMechanisms() []string         { *h.called = h.name; return nil }
func (h hasSASL) Authenticate(string) (sasl.Server, error) { *h.called = h.name; return nil, nil }
func (h hasUnauthenticate) Unauthenticate() error          { *h.called = h.name; return nil }
func (h hasAppendLimit) AppendLimit() uint32               { *h.called = h.name; return 0 }
func (w who) Login(username, password string) error        { *w.called = w.name; return nil }
func base(name string, called *string) (session, who) {
	w := who{name, called}
	return session{who: w}, w
}

// session has no optional interface.
type session struct {
	imapserver.Session
	who
}

func (s session) Login(username, password string) error { return s.who.Login(username, password) }

// all has every optional interface.
type all struct {
	session
	hasNamespace
	hasMove
	hasSASL
	hasUnauthenticate
	hasAppendLimit
}

func newAll(name string, called *string) imaptest.Full {
	s, w := base(name, called)
	return all{s, hasNamespace(w), hasMove(w), hasSASL(w), hasUnauthenticate(w), hasAppendLimit(w)}
}

// of returns which of the optional interfaces s has, and calls each of them.
func of(t *testing.T, s imapserver.Session, called *string, wantAnswer string) imaptest.Optional {
	set := imaptest.Optional(0)
	answered := func(has imaptest.Optional) {
		set |= has
		assert.Equal(t, wantAnswer, *called, "interface %d", has)
		*called = ""
	}
	if s, ok := s.(imapserver.SessionNamespace); ok {
		s.Namespace()
		answered(imaptest.HasNamespace)
	}
	if s, ok := s.(imapserver.SessionMove); ok {
		s.Move(nil, nil, "")
		answered(imaptest.HasMove)
	}
	if s, ok := s.(imapserver.SessionSASL); ok {
		s.AuthenticateMechanisms()
		s.Authenticate("PLAIN")
		answered(imaptest.HasSASL)
	}
	if s, ok := s.(imapserver.SessionUnauthenticate); ok {
		s.Unauthenticate()
		answered(imaptest.HasUnauthenticate)
	}
	if s, ok := s.(imapserver.SessionAppendLimit); ok {
		s.AppendLimit()
		answered(imaptest.HasAppendLimit)
	}
	return set
}

func TestOptionalHasExactlyTheInterfacesOfTheInnerSession(t *testing.T) {
	for set := range imaptest.HasAll + 1 {
		t.Run(fmt.Sprintf("%05b", set), func(t *testing.T) {
			var called string
			inner := imaptest.Restrict(newAll("inner", &called), set)
			plain, _ := base("outer", &called)

			for _, test := range []struct {
				outer  imapserver.Session
				answer string
			}{
				{plain, "inner"},
				{newAll("outer", &called), "outer"},
			} {
				kept := keep.Optional(test.outer, inner)
				assert.Equal(t, set, of(t, kept, &called, test.answer))
				kept.Login("", "")
				assert.Equal(t, "outer", called)
				assert.Equal(t, inner, keep.Backend(kept))

				twice := keep.Optional(plain, kept)
				assert.Equal(t, set, of(t, twice, &called, test.answer))
				assert.Equal(t, inner, keep.Backend(twice))
			}
		})
	}
}

func TestOptionalMixesOuterAndInner(t *testing.T) {
	var called string
	plain, w := base("outer", &called)
	outer := struct {
		session
		hasMove
	}{plain, hasMove(w)}

	kept := keep.Optional(outer, newAll("inner", &called))

	kept.(imapserver.SessionMove).Move(nil, nil, "")
	assert.Equal(t, "outer", called)
	kept.(imapserver.SessionNamespace).Namespace()
	assert.Equal(t, "inner", called)
}

func TestBackendOfAnUnwrappedSession(t *testing.T) {
	var called string
	s, _ := base("inner", &called)
	assert.Equal(t, s, keep.Backend(s))
}
