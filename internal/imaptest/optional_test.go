package imaptest_test

import (
	"testing"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
)

func TestRestrict(t *testing.T) {
	for set := range imaptest.HasAll + 1 {
		session := imaptest.Restrict(struct{ imaptest.Full }{}, set)
		var got imaptest.Optional
		if _, ok := session.(imapserver.SessionNamespace); ok {
			got |= imaptest.HasNamespace
		}
		if _, ok := session.(imapserver.SessionMove); ok {
			got |= imaptest.HasMove
		}
		if _, ok := session.(imapserver.SessionSASL); ok {
			got |= imaptest.HasSASL
		}
		if _, ok := session.(imapserver.SessionUnauthenticate); ok {
			got |= imaptest.HasUnauthenticate
		}
		if _, ok := session.(imapserver.SessionAppendLimit); ok {
			got |= imaptest.HasAppendLimit
		}
		assert.Equal(t, set, got)
	}
}
