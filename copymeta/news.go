package copymeta

import (
	"cmp"
	"maps"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/capture"
)

// maxNews is of how many messages a session keeps news.
const maxNews = 1000

// news are the flags of messages, by their sequence numbers, that the backend has told of while it
// was asked for others. Its client has to be told too, because the backend does not say it again.
type news map[uint32]capture.Message

// note keeps the flags of a message, if it has any, until the next Poll.
func (s *session) note(m *capture.Message) {
	if m.SeqNum == 0 || m.Flags == nil {
		return
	}
	if s.news == nil {
		s.news = make(news)
	}
	if _, ok := s.news[m.SeqNum]; ok || len(s.news) < maxNews {
		s.news[m.SeqNum] = *m
	}
}

// expunge follows what the client was told of messages that are gone.
func (n *news) expunge(seqNums []uint32) {
	if len(*n) == 0 {
		return
	}
	all := slices.SortedFunc(maps.Values(*n), func(a, b capture.Message) int {
		return cmp.Compare(a.SeqNum, b.SeqNum)
	})
	for _, gone := range seqNums {
		i, found := slices.BinarySearchFunc(all, gone, func(m capture.Message, seqNum uint32) int {
			return cmp.Compare(m.SeqNum, seqNum)
		})
		if found {
			all = slices.Delete(all, i, i+1)
		}
		for ; i < len(all); i++ {
			all[i].SeqNum--
		}
	}
	*n = make(news)
	for _, m := range all {
		(*n)[m.SeqNum] = m
	}
}

// Poll tells the news first: the sequence numbers are those from before what Poll tells.
func (s *session) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	news := s.news
	s.news = nil
	for _, seqNum := range slices.Sorted(maps.Keys(news)) {
		if err := w.WriteMessageFlags(seqNum, news[seqNum].UID, news[seqNum].Flags); err != nil {
			return err
		}
	}
	return s.Session.Poll(w, allowExpunge)
}

// Expunge forgets the news, whose sequence numbers are wrong afterwards.
func (s *session) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	s.news = nil
	return s.Session.Expunge(w, uids)
}

// Unselect forgets the news of the mailbox.
func (s *session) Unselect() error {
	s.news = nil
	return s.Session.Unselect()
}

// Unauthenticate forgets the news. The server does not call Unselect before.
func (s *session) Unauthenticate() error {
	s.news = nil
	return s.Session.(imapserver.SessionUnauthenticate).Unauthenticate()
}
