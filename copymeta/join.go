package copymeta

import (
	"github.com/emersion/go-imap/v2"

	"github.com/imapgate/imapgate/internal/capture"
)

// part is what a backend has said so far about a message.
type part struct {
	capture.Message
	body *body // nil: not written
}

// join puts together what a backend writes about one message in several responses, with those of
// other messages in between. They belong together by their UID, or else by their sequence number,
// which may be missing: the backend's client may not have been told of the message yet.
type join struct {
	complete func(p *part) bool
	done     func(p *part) error // gets those that are complete

	bySeqNum map[uint32]*part // those that are not
	byUID    map[imap.UID]*part
}

func (j *join) add(m *capture.Message, b *body) error {
	p := j.find(m)
	p.merge(m, b)
	if j.complete(p) {
		delete(j.bySeqNum, p.SeqNum)
		delete(j.byUID, p.UID)
		return j.done(p)
	}
	if j.byUID == nil {
		j.bySeqNum, j.byUID = make(map[uint32]*part), make(map[imap.UID]*part)
	}
	j.bySeqNum[p.SeqNum] = p
	if p.UID != 0 {
		j.byUID[p.UID] = p
	}
	return nil
}

func (j *join) find(m *capture.Message) *part {
	if p := j.byUID[m.UID]; p != nil {
		return p
	}
	if p := j.bySeqNum[m.SeqNum]; p != nil && m.SeqNum != 0 && (p.UID == 0 || m.UID == 0) {
		return p
	}
	return &part{Message: capture.Message{Size: -1}}
}

func (p *part) merge(m *capture.Message, b *body) {
	if m.SeqNum != 0 {
		p.SeqNum = m.SeqNum
	}
	if m.UID != 0 {
		p.UID = m.UID
	}
	if m.Flags != nil {
		p.Flags = m.Flags
	}
	if !m.InternalDate.IsZero() {
		p.InternalDate = m.InternalDate
	}
	if m.Size >= 0 {
		p.Size = m.Size
	}
	if b != nil {
		p.body = b
	}
}

// rest calls f for each message that is not complete.
func (j *join) rest(f func(p *part) error) error {
	for _, p := range j.byUID {
		if err := f(p); err != nil {
			return err
		}
	}
	for _, p := range j.bySeqNum {
		if p.UID != 0 { // it was among the others
			continue
		}
		if err := f(p); err != nil {
			return err
		}
	}
	return nil
}
