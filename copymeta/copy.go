package copymeta

import (
	"time"

	"github.com/emersion/go-imap/v2"
)

// noMessage returns the UID that no message can have: UIDNEXT, which is larger, would not fit (RFC
// 9051 section 2.3.1.1).
func noMessage() imap.UIDSet { return imap.UIDSetNum(1<<32 - 1) }

// Copy implements [imapserver.Session].
func (s *session) Copy(numSet imap.NumSet, dest string) (*imap.CopyData, error) {
	p, err := s.policies(dest)
	if err != nil {
		return nil, err
	}
	if p.keep() {
		return s.Session.Copy(numSet, dest)
	}
	if copier, ok := s.Session.(Copier); ok {
		data, err := copier.CopyMeta(numSet, dest, p.date, p.flags)
		return withoutEmpty(data), err
	}
	c, err := s.copy(numSet, dest, p)
	if err != nil && c.done > 0 {
		err = s.partly(err, "%d of %d messages were copied", c.done, len(c.messages))
	}
	return c.data, err
}

// copied is what a copy has come to.
type copied struct {
	messages []message
	done     int            // how many of them have a copy now
	data     *imap.CopyData // the UIDs of those; nil if there are none or they are not known
}

// copy reads and appends. After an error everything is as before if done is zero; otherwise that
// many copies could not be taken out.
func (s *session) copy(numSet imap.NumSet, dest string, p policies) (copied, error) {
	now := time.Now()
	if _, err := s.Session.Copy(noMessage(), dest); err != nil {
		return copied{}, err
	}
	spool := &spool{dir: s.options.TempDir, memory: s.options.maxMemory()}
	defer spool.close()
	messages, err := s.read(numSet, p, now, spool)
	if err == nil {
		err = spool.flush()
	}
	if err != nil {
		return copied{}, err
	}
	c, err := s.append(dest, messages, spool)
	if err != nil && s.undo(dest, c.data) {
		c = copied{messages: messages}
	}
	return c, err
}

func (s *session) append(dest string, messages []message, spool *spool) (copied, error) {
	c := copied{messages: messages}
	var data imap.CopyData
	known := true
	for i := range messages {
		m := &messages[i]
		appended, err := s.Session.Append(
			dest, spool.literal(m.body), &imap.AppendOptions{Flags: m.flags, Time: m.date},
		)
		if err != nil {
			return c, err
		}
		c.done++
		if appended == nil || appended.UID == 0 || i > 0 && appended.UIDValidity != data.UIDValidity {
			known, c.data = false, nil
		}
		if known {
			data.UIDValidity = appended.UIDValidity
			addUID(&data.SourceUIDs, m.uid)
			addUID(&data.DestUIDs, appended.UID)
			c.data = &data
		}
	}
	return c, nil
}

// addUID adds to the end. The set's own AddNum sorts, which would lose what the n-th of another set
// belongs to.
func addUID(set *imap.UIDSet, uid imap.UID) {
	if last := len(*set) - 1; last >= 0 && (*set)[last].Stop+1 == uid {
		(*set)[last].Stop = uid
		return
	}
	*set = append(*set, imap.UIDRange{Start: uid, Stop: uid})
}

// withoutEmpty returns nil for empty sets, of which the server would write a COPYUID that cannot be
// read.
func withoutEmpty(data *imap.CopyData) *imap.CopyData {
	if data == nil || len(data.SourceUIDs) == 0 || len(data.DestUIDs) == 0 {
		return nil
	}
	return data
}
