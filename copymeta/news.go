package copymeta

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/imapgate/imapgate/internal/capture"
	"github.com/imapgate/imapgate/internal/layers"
)

const (
	// maxNews is of how many messages a command keeps news.
	maxNews = 1000
	// newsTimeout is how long a client may take to read one response, as from the server.
	newsTimeout = 30 * time.Second
)

// news are the flags of messages, by their sequence numbers, that the backend has told of while it
// was asked for others. Its client has to be told too, because the backend does not say it again.
type news map[uint32]told

// told is what a backend has told of a message.
type told struct {
	uid   imap.UID // 0 if it has not told that
	flags []imap.Flag
}

func (t told) response(seqNum uint32) []byte {
	line := fmt.Appendf(nil, "* %d FETCH (", seqNum)
	if t.uid != 0 {
		line = fmt.Appendf(line, "UID %d ", t.uid)
	}
	line = append(line, "FLAGS ("...)
	for i, flag := range t.flags {
		if i > 0 {
			line = append(line, ' ')
		}
		line = append(line, flag...) // an atom, as the backend has written it
	}
	return append(line, "))\r\n"...)
}

// note keeps the flags of a message, if it has any, until the command is over.
func (s *session) note(m *capture.Message) {
	if m.SeqNum == 0 || m.Flags == nil {
		return
	}
	if s.news == nil {
		s.news = make(news)
	}
	if _, ok := s.news[m.SeqNum]; ok || len(s.news) < maxNews {
		s.news[m.SeqNum] = told{m.UID, m.Flags}
	}
}

// expunge follows what the client is told of messages that are gone.
func (n *news) expunge(seqNums []uint32) {
	if len(*n) == 0 {
		return
	}
	old := slices.Sorted(maps.Keys(*n))
	now := slices.Clone(old) // the numbers of the same messages; 0 if they are gone
	for _, gone := range seqNums {
		for i, seqNum := range now {
			switch {
			case seqNum == gone:
				now[i] = 0
			case seqNum > gone:
				now[i]--
			}
		}
	}
	moved := make(news)
	for i, seqNum := range now {
		if seqNum != 0 {
			moved[seqNum] = (*n)[old[i]]
		}
	}
	*n = moved
}

// tell tells the client the news, after everything else but the answer to its command. Later they
// may be out of date: the server polls only after a command that has succeeded, and the answer to
// another FETCH or STORE may have the same flags as they are by then. So they are written past the
// server, as package progress does it.
func (s *session) tell() {
	news := s.news
	s.news = nil
	if s.conn == nil {
		return
	}
	conn := s.conn.NetConn()
	for _, seqNum := range slices.Sorted(maps.Keys(news)) {
		conn.SetWriteDeadline(time.Now().Add(newsTimeout))
		_, err := conn.Write(news[seqNum].response(seqNum))
		conn.SetWriteDeadline(time.Time{})
		if err != nil {
			layers.Innermost(conn).Close() // part of the line may be sent
			return
		}
	}
}
