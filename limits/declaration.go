package limits

import "fmt"

// A Declaration describes one field of [Options] that limits something, for those who make a flag,
// a table or a figure of each.
type Declaration struct {
	Option  string // the name of the field, such as MaxFetches
	Help    string // what it limits, in a few words
	Time    bool   // it is a time.Duration; otherwise it is a number
	Default int64  // in DefaultOptions; a time is in nanoseconds
	Answer  string // what the client reads, such as "NO [LIMIT] …"; "" if nothing of its own

	limit *limit
}

// Declared returns the declaration of each limit, in the order of Options.
func Declared() []Declaration {
	all := make([]Declaration, len(declared))
	for i, l := range declared {
		all[i] = Declaration{l.option, l.help, l.isTime, l.initial, "", l}
		if l.answer != nil {
			all[i].Answer = fmt.Sprintf("%s [%s] %s", l.answer.Type, l.answer.Code, l.answer.Text)
		}
	}
	return all
}

// Value returns what the options say; a time is in nanoseconds.
func (d Declaration) Value(options *Options) int64 { return d.limit.field(options).Int() }

// Refused returns how often the limit refused something, or ended it. Limits that give the same
// answer are counted together. ok is false for a limit that is counted as another one.
func (d Declaration) Refused(stats Stats) (n uint64, ok bool) {
	if d.limit.count == nil {
		return 0, false
	}
	return *d.limit.count(&stats), true
}

// InUse returns how much of what it limits is in use; ok is false if nobody counts that.
func (d Declaration) InUse(stats Stats) (n int, ok bool) {
	if d.limit.inUse == nil {
		return 0, false
	}
	return *d.limit.inUse(&stats), true
}

// Waiting returns how many wait for it; ok is false if nobody waits for such a limit.
func (d Declaration) Waiting(stats Stats) (n int, ok bool) {
	if d.limit.waits == nil {
		return 0, false
	}
	return *d.limit.waits(&stats), true
}
