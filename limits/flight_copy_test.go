package limits_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// hundreds is a wrapper around limits that adds hundreds to what a SEARCH finds.
type hundreds struct {
	imapserver.Session
	n imap.UID
}

func (s *hundreds) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	data, err := s.Session.Search(kind, criteria, options)
	if err == nil {
		data.All = imap.UIDSetNum(data.AllUIDs()[0] + 100*s.n)
	}
	return data, err
}

// What a wrapper around limits does to the answer of a shared SEARCH, the others do not see.
func TestAWrapperMayChangeASharedAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &finder{took: time.Minute}
		options := sharing()
		options.JoinRunning = true
		limiter, sessions := limits.New(options), atomic.Uint32{}
		newSession := limiter.Wrap(f.NewSession)
		server := imaptest.NewServer(t, &imapserver.Options{
			NewSession: func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				session, greeting, err := newSession(conn)
				return &hundreds{session, imap.UID(sessions.Add(1))}, greeting, err
			},
			InsecureAuth: true,
		})
		var all sync.WaitGroup
		for _, want := range []string{"* SEARCH 101", "* SEARCH 201", "* SEARCH 301"} {
			c := server.Login("karen", "pass")
			c.Cmd("s SELECT INBOX")
			all.Go(func() { assert.Equal(t, want, c.Cmd("x UID SEARCH SEEN")[0]) })
			synctest.Wait()
		}
		all.Wait()
		assert.Equal(t, 1, f.count())
	})
}
