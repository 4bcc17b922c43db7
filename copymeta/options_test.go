package copymeta_test

import (
	"errors"
	"flag"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/internal/imaptest"
)

func TestNothingToChangeIsNotWrapped(t *testing.T) {
	b := newBackend()
	for _, options := range []*copymeta.Options{nil, {}, {Move: true, MaxBytes: 5}} {
		session, _, err := copymeta.Wrap(of(b), options)(nil)
		assert.NoError(t, err)
		assert.Same(t, b, session)
	}
	for _, options := range []*copymeta.Options{
		{InternalDate: copymeta.Reset}, {Flags: copymeta.Preserve},
		{PolicyFor: func(_, _ string) (date, flags copymeta.Policy) { return }},
	} {
		session, _, err := copymeta.Wrap(of(b), options)(nil)
		assert.NoError(t, err)
		assert.NotEqual(t, reflect.TypeFor[*backend](), reflect.TypeOf(session))
	}
}

func TestOptionsAreCopied(t *testing.T) {
	b := newBackend(stored{content: "x", date: past})
	options := &copymeta.Options{InternalDate: copymeta.Preserve}
	newSession := copymeta.Wrap(of(b), options)
	options.InternalDate = copymeta.Reset
	c := imaptest.Serve(t, newSession).Login("karen", "pass")
	c.Cmd("s SELECT INBOX")
	c.Cmd("a COPY 1 Archive")
	assert.True(t, past.Equal(b.mailboxes["Archive"].messages[0].date))
}

// closer knows whether it was closed.
type closer struct {
	imaptest.Stub
	closed bool
}

func (c *closer) Close() error { c.closed = true; return nil }

func TestASessionThatComesWithAnErrorIsClosed(t *testing.T) {
	failed := errors.New("no")
	for _, inner := range []imapserver.Session{nil, &closer{}} {
		session, _, err := copymeta.Wrap(
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return inner, nil, failed
			},
			reset,
		)(
			nil,
		)
		assert.Same(t, failed, err)
		assert.Nil(t, session)
		if inner != nil {
			assert.True(t, inner.(*closer).closed)
		}
	}
}

func TestValidate(t *testing.T) {
	assert.NoError(t, (&copymeta.Options{}).Validate())
	assert.NoError(
		t,
		(&copymeta.Options{
			InternalDate: copymeta.Preserve, MaxMemory: math.MaxInt64, MaxBytes: 1, MaxTotalMemory: 1,
			MaxTotalBytes: 1, QueueTimeout: 1, ProgressInterval: 1, TempDir: t.TempDir(),
		}).Validate(),
	)
	for want, options := range map[string]copymeta.Options{
		"copymeta: InternalDate is -1, which is none of Keep, Reset and Preserve": {InternalDate: -1},
		"copymeta: Flags is 3, which is none of Keep, Reset and Preserve":         {Flags: 3},
		"copymeta: MaxMemory is -5, which is negative":                            {MaxMemory: -5},
		"copymeta: MaxBytes is -1, which is negative":                             {MaxBytes: -1},
		"copymeta: MaxTotalMemory is -1, which is negative":                       {MaxTotalMemory: -1},
		"copymeta: MaxTotalBytes is -1, which is negative":                        {MaxTotalBytes: -1},
		"copymeta: QueueTimeout is -1s, which is negative": {
			QueueTimeout: -time.Second,
		},
		"copymeta: ProgressInterval is -1s, which is negative": {
			ProgressInterval: -time.Second,
		},
		`copymeta: TempDir is "/no/such/folder", which is no folder`: {
			TempDir: "/no/such/folder",
		},
		`copymeta: TempDir is "options_test.go", which is no folder`: {
			TempDir: "options_test.go",
		},
	} {
		assert.EqualError(t, options.Validate(), want)
		assert.PanicsWithError(t, want, func() { copymeta.Wrap(of(nil), &options) })
	}
}

func TestPolicyAsAFlag(t *testing.T) {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	var policy copymeta.Policy
	flags.TextVar(&policy, "copy-date", copymeta.Keep, "keep or reset")
	assert.Equal(t, "keep", flags.Lookup("copy-date").DefValue)
	for _, want := range []copymeta.Policy{copymeta.Reset, copymeta.Preserve, copymeta.Keep} {
		assert.NoError(t, flags.Set("copy-date", want.String()))
		assert.Equal(t, want, policy)
	}
	assert.EqualError(
		t, flags.Set("copy-date", "Drop"), `copymeta: Policy "Drop" is none of keep, reset, preserve`,
	)
	assert.Equal(t, "Policy(9)", copymeta.Policy(9).String())
	_, err := copymeta.Policy(9).MarshalText()
	assert.EqualError(t, err, "copymeta: Policy 9 has no name")
}
