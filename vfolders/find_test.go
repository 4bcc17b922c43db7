package vfolders_test

import (
	"cmp"
	"fmt"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/vfolders"
)

// Of a folder that holds many others not all are read: the backend is asked for its name instead.
func TestAFolderThatHoldsMany(t *testing.T) {
	const many = 500
	tests := map[string]struct {
		top           string // "top" if it is empty
		before, after []string
		command       string
		want          string
		asked         []string
		written       int
	}{
		"virtual": {
			command: "STATUS top (MESSAGES)",
			want:    "OK STATUS completed",
			asked:   []string{"STATUS top", "LIST  top* ttop*", "LIST  top ttop"},
			written: 101,
		},
		"there, but not to be had": {
			after:   []string{"top"},
			command: "DELETE top",
			want:    "NO [CANNOT] Not this one",
			asked:   []string{"DELETE top", "LIST  top* ttop*", "LIST  top ttop"},
			written: 102,
		},
		"there, and listed first": {
			before:  []string{"top"},
			command: "DELETE top",
			want:    "NO [CANNOT] Not this one",
			asked:   []string{"DELETE top", "LIST  top* ttop*"},
			written: 102,
		},
		"with a wildcard in its name, which the backend does not get": {
			top:     "t%p",
			command: `STATUS "t%p" (MESSAGES)`,
			want:    "OK STATUS completed",
			asked:   []string{"STATUS t%p", "LIST  t* tt*"},
			written: many,
		},
		"not there": {
			command: "STATUS to (MESSAGES)",
			want:    "NO [NONEXISTENT] No such mailbox",
			asked:   []string{"STATUS to", "LIST  to* tto*"},
			written: many,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			all := test.before
			for i := range many {
				all = append(all, fmt.Sprintf("%s/%03d", cmp.Or(test.top, "top"), i))
			}
			b := names('/', append(all, test.after...)...)
			b.refusal = &imap.Error{
				Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeCannot, Text: "Not this one",
			}
			c := connect(t, b.session, &vfolders.Options{})
			b.took()
			assert.Equal(t, test.want, imaptest.Last(c.Cmd("a "+test.command)))
			assert.Equal(t, test.asked, b.took())
			assert.Equal(t, test.written, b.written)
		})
	}
}

// A backend that takes no notice of the patterns is asked in vain for the folder alone, and then
// all of its list is read.
func TestAFolderThatHoldsManyOfABackendThatListsAll(t *testing.T) {
	b := names('/')
	for i := range 500 {
		b.add('/', fmt.Sprintf("top/%03d", i))
	}
	b.add('/', "top")
	b.refusal = errNone
	next := everything{mover{b}, nil}
	c := imaptest.Serve(t, vfolders.Wrap(next.session, nil)).Login("bob", "pass")
	assert.Equal(t, "NO [NONEXISTENT] No such mailbox", imaptest.Last(c.Cmd("a DELETE top")))
	b.mailboxes = b.mailboxes[:500]
	assert.Equal(t, cannot, imaptest.Last(c.Cmd("a DELETE top")))
}
