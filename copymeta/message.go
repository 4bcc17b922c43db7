package copymeta

import (
	"cmp"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
)

// message is one that was found, with where its copy is to have things from. There may be a million
// of them.
type message struct {
	uid    imap.UID
	copy   imap.UID // that of the copy, if the backend tells
	size   int64
	offset int64   // of the body in the spool
	flags  flagsAt // if it is flagged
	date   int64   // Unix seconds, if it is dated
	zone   int32   // seconds east
	seqNum uint32

	deleted bool // it has \Deleted
	read    bool // it is in the spool, and the rest is set
	inFile  bool
	flagged bool // its flags are in the spool
	dated   bool
}

func (m *message) setDate(t time.Time) {
	m.dated, m.zone, m.date = !t.IsZero(), 0, 0
	if m.dated {
		_, zone := t.Zone()
		m.zone, m.date = int32(zone), t.Unix()
	}
}

func (m *message) internalDate() time.Time {
	if !m.dated {
		return time.Time{}
	}
	return time.Unix(m.date, 0).In(time.FixedZone("", int(m.zone)))
}

// find returns the index of the message with the UID.
func find(messages []message, uid imap.UID) (int, bool) {
	return slices.BinarySearchFunc(
		messages, uid, func(m message, uid imap.UID) int { return cmp.Compare(m.uid, uid) },
	)
}

// inOrder sorts by UID, which is the order in the mailbox, and leaves out what the backend wrote
// twice.
func inOrder(messages []message) []message {
	slices.SortStableFunc(messages, func(a, b message) int { return cmp.Compare(a.uid, b.uid) })
	return slices.CompactFunc(messages, func(a, b message) bool { return a.uid == b.uid })
}

// seqNumsOf returns the sequence numbers of the messages, sorted.
func seqNumsOf(messages []message) []uint32 {
	seqNums := make([]uint32, len(messages))
	for i, m := range messages {
		seqNums[i] = m.seqNum
	}
	slices.Sort(seqNums)
	return seqNums
}

func uidsOf(messages []message) imap.UIDSet {
	var uids imap.UIDSet
	for _, m := range messages {
		addUID(&uids, m.uid)
	}
	return uids
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
