package limits

import (
	"math"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// Append refuses a message that is too large, and else waits for a slot. Nothing of the message is
// read meanwhile. The server reads and discards what was refused.
func (s *session) Append(
	mailbox string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	var turn turn
	defer s.endCommand(&turn)
	event := Event{Command: commandAppend, User: s.user}
	most := s.appendLimit()
	if most.value > 0 && r.Size() > most.value && s.refuse(event, most) {
		return nil, ErrAppendSize
	}
	err := s.beginCommand(&turn, commandAppend)
	if turn.Waited() > 0 {
		// The wait has used up the time that go-imap gives the client to send a message. It has to be
		// read after a refusal, too.
		const serverTimeout = 5 * time.Minute
		s.conn.NetConn().SetReadDeadline(time.Now().Add(serverTimeout))
	}
	if err != nil {
		return nil, err
	}
	s.upload.LiteralReader = r
	return s.Session.Append(mailbox, &s.upload, options)
}

// minAppendLimit is the size of a literal that a client may send unasked (RFC 7888 section 5). The
// body of one that the server refuses before it is read would be taken for commands.
const minAppendLimit = 4096

// AppendLimit returns the smaller of the backend's limit and MaxAppendSize, so that the server
// refuses what is larger before it is sent. The server asks for it before a login too.
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

// appendLimit is MaxAppendSize for this client; its value is 0 if there is none.
func (s *session) appendLimit() refusal {
	if s.limits.Load().exempt {
		return refusal{limit: maxAppendSize}
	}
	return s.reached(maxAppendSize)
}
