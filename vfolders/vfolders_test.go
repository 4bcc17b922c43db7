package vfolders_test

import (
	"flag"
	"fmt"
	"io"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/vfolders"
)

func TestOptions(t *testing.T) {
	for _, o := range []vfolders.Options{
		{}, {Mode: vfolders.NoSelect}, {Prefixes: []string{"#users", "Public/", "é"}},
		{MaxTotalMemory: 1},
	} {
		assert.NoError(t, o.Validate())
	}
	for message, o := range map[string]vfolders.Options{
		"vfolders: Options.Mode is 7, which is neither Selectable nor NoSelect": {Mode: 7},
		"vfolders: Options.MaxTotalMemory is -1, which is negative":             {MaxTotalMemory: -1},
		`vfolders: Options.Prefixes contains "", which no mailbox name can begin with`: {
			Prefixes: []string{"a", ""},
		},
		`vfolders: Options.Prefixes contains "a\r\nb", which no mailbox name can begin with`: {
			Prefixes: []string{"a\r\nb"},
		},
		`vfolders: Options.Prefixes contains "\xff", which no mailbox name can begin with`: {
			Prefixes: []string{"\xff"},
		},
	} {
		assert.EqualError(t, o.Validate(), message)
		assert.PanicsWithError(t, message, func() { vfolders.Wrap(nil, &o) })
	}
}

func TestOptionsAreCopied(t *testing.T) {
	o := &vfolders.Options{Prefixes: []string{"a"}}
	newSession := vfolders.Wrap(names('/', "a/b", "c/d").session, o)
	o.Mode, o.Prefixes[0] = vfolders.NoSelect, "c"
	server := imaptest.NewServer(t, &imapserver.Options{NewSession: newSession, InsecureAuth: true})
	assert.Equal(
		t, []string{`LIST (\HasChildren) "/" "a"`}, answer(t, server.Login("bob", "pass"), `LIST "" %`),
	)
}

func TestModeAsAFlag(t *testing.T) {
	var mode vfolders.Mode
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.TextVar(&mode, "virtual-folders", vfolders.Selectable, "")
	assert.NoError(t, flags.Parse([]string{"-virtual-folders", "noselect"}))
	assert.Equal(t, vfolders.NoSelect, mode)
	assert.Error(t, flags.Parse([]string{"-virtual-folders", "NoSelect"}))
	assert.Equal(
		t, "selectable noselect Mode(2)",
		fmt.Sprint(vfolders.Selectable, vfolders.NoSelect, vfolders.Mode(2)),
	)
	_, err := vfolders.Mode(2).MarshalText()
	assert.EqualError(t, err, "vfolders: Mode 2 has no name")
}

type closing struct {
	imaptest.Stub
	closed *int
}

func (c closing) Close() error { *c.closed++; return nil }

func TestASessionThatComesWithAnErrorIsClosed(t *testing.T) {
	closed := 0
	refused := &imap.Error{Type: imap.StatusResponseTypeBye, Text: "No"}
	for _, session := range []imapserver.Session{closing{closed: &closed}, nil} {
		server := imaptest.Serve(
			t,
			vfolders.Wrap(func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return session, nil, refused
			}, nil),
		)
		assert.Equal(t, []string{"* BYE No"}, server.Dial().Rest())
	}
	assert.Equal(t, 1, closed)
}

func TestTheGreetingIsKept(t *testing.T) {
	server := imaptest.NewServer(t, &imapserver.Options{
		NewSession: vfolders.Wrap(
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return names('/', "a/b"), &imapserver.GreetingData{PreAuth: true}, nil
			},
			nil,
		),
	})
	c := server.Dial()
	assert.Contains(t, c.Line(), "* PREAUTH ")
	assert.Equal(t, []string{`LIST (\HasChildren) "/" "a"`}, answer(t, c, `LIST "" %`))
	answer(t, c, "SELECT a")
}

func TestOptionalInterfacesAreThoseOfTheBackend(t *testing.T) {
	for _, inner := range []imapserver.Session{names('/'), mover{names('/')}, imaptest.Stub{}} {
		session, _, err := vfolders.Wrap(
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return inner, nil, nil
			},
			nil,
		)(
			nil,
		)
		assert.NoError(t, err)
		_, move := inner.(imapserver.SessionMove)
		_, wrappedMove := session.(imapserver.SessionMove)
		assert.Equal(t, move, wrappedMove)
		_, unauthenticate := inner.(imapserver.SessionUnauthenticate)
		_, wrappedUnauthenticate := session.(imapserver.SessionUnauthenticate)
		assert.Equal(t, unauthenticate, wrappedUnauthenticate)
	}
}
