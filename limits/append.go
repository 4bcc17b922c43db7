package limits

import (
	"math"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// Append refuses a message that is too large. Any other waits for a slot, and nothing of it is read
// until there is one. The server reads and discards the message after a refusal.
func (s *session) Append(
	mailbox string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	var turn turn
	defer s.endCommand(&turn)
	if most := s.appendLimit(); most.value > 0 && r.Size() > most.value &&
		s.refuse(Event{Command: commandAppend, User: s.user}, most) {
		return nil, ErrAppendSize
	}
	err := s.beginCommand(&turn, commandAppend)
	if turn.Waited() > 0 {
		// go-imap's time for the client to send the message has passed during the wait. The message must
		// be read even after a refusal.
		const serverTimeout = 5 * time.Minute
		s.conn.NetConn().SetReadDeadline(time.Now().Add(serverTimeout))
	}
	if err != nil {
		return nil, err
	}
	s.upload.begin(r)
	return s.Session.Append(mailbox, &s.upload, options)
}

// minAppendLimit is the size of a literal that a client may send without asking (RFC 7888 section
// 5). If the server refused a smaller one before it was read, its bytes would be read as commands.
const minAppendLimit = 4096

// AppendLimit returns the smaller of the backend's limit and MaxAppendSize. The server thus refuses
// a larger message before it is sent. The server also calls this before a login.
func (s *session) AppendLimit() uint32 {
	if s.ending.Load() != nil {
		return math.MaxUint32
	}
	limit := s.Session.(imapserver.SessionAppendLimit).AppendLimit()
	if most := s.appendLimit(); most.value > 0 && !s.dryRun() {
		limit = uint32(min(int64(limit), max(most.value, minAppendLimit)))
	}
	return limit
}

// appendLimit is MaxAppendSize for this client; its value is 0 if there is no limit.
func (s *session) appendLimit() refusal {
	if s.limits.Load().exempt {
		return refusal{limit: maxAppendSize}
	}
	return s.reached(maxAppendSize)
}
