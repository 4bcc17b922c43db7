package redislimits

import (
	"container/list"
	"strconv"
	"sync"
	"time"

	"github.com/imapgate/imapgate/limits"
)

// maxPage is how many sessions one script renews. It keeps Redis busy for about a millisecond.
const maxPage = 64

// lease is the place of one session in Redis.
type lease struct {
	cluster *Cluster
	login   limits.ClusterLogin
	name    string   // unique among all leases of all nodes
	session uint64   // its SessionInfo.ID
	sets    []string // the keys that it counts in
	page    *page

	at       int // in page.leases, -1 if not there; this and the rest: under leases.mu
	released bool
	since    time.Time // when it was released
}

// page is a group of a node's leases that are renewed together.
type page struct {
	name   string
	leases []*lease
	due    time.Time     // of the next renewal
	place  *list.Element // in leases.pages
	room   *list.Element // in leases.open; nil if the page is full or empty
}

// leases has the leases that a node holds, and those of which its worker must still inform Redis.
type leases struct {
	mu       sync.Mutex
	last     uint64    // number of the last lease
	lastPage int       // number of the last page
	total    int       // leases
	pages    list.List // of *page, in the order of renewal
	open     list.List // of *page, those with room
	sessions map[uint64]*lease
	joined   []*lease // to be counted soon; no login waits for that
	released []*lease // to be given back
}

func (l *leases) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// nextName returns the name of a new lease of the node.
func (l *leases) nextName(birth string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	return birth + "." + strconv.FormatUint(l.last, 36)
}

// choose returns the page for the next lease.
func (l *leases) choose(birth string, due time.Time) *page {
	l.mu.Lock()
	defer l.mu.Unlock()
	if front := l.open.Front(); front != nil {
		return front.Value.(*page)
	}
	l.lastPage++
	p := &page{name: pageName(birth, l.lastPage), due: due}
	p.place = l.pages.PushBack(p)
	p.room = l.open.PushBack(p)
	return p
}

// hold adds a lease to its page, which is renewed from now on. Other leases may have filled the
// page meanwhile, which does no harm. If the page was empty and dropped, it is due at the time of a
// new one.
func (l *leases) hold(in *lease, due time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := in.page
	in.at = len(p.leases)
	p.leases = append(p.leases, in)
	l.total++
	if l.sessions == nil {
		l.sessions = make(map[uint64]*lease)
	}
	l.sessions[in.session] = in
	if p.place == nil {
		p.due = due
		p.place = l.pages.PushBack(p)
	}
	l.roomLocked(p)
}

// roomLocked updates whether the page is among those with room, and drops an empty page.
func (l *leases) roomLocked(p *page) {
	full, empty := len(p.leases) >= maxPage, len(p.leases) == 0
	switch {
	case p.room == nil && !full && !empty:
		p.room = l.open.PushBack(p)
	case p.room != nil && (full || empty):
		l.open.Remove(p.room)
		p.room = nil
	}
	if empty && p.place != nil {
		l.pages.Remove(p.place)
		p.place = nil
	}
}

// release stops renewing a lease, and returns whether it was not released before.
func (l *leases) release(in *lease) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if in.released {
		return false
	}
	in.released, in.since = true, time.Now()
	l.released = append(l.released, in)
	if in.at < 0 {
		return true
	}
	p := in.page
	last := len(p.leases) - 1
	p.leases[in.at] = p.leases[last]
	p.leases[in.at].at = in.at
	p.leases[last] = nil
	p.leases = p.leases[:last]
	in.at = -1
	l.total--
	if l.sessions[in.session] == in {
		delete(l.sessions, in.session)
	}
	l.roomLocked(p)
	return true
}

// Release gives the lease back: the worker informs Redis.
func (in *lease) Release() {
	if in.cluster.held.release(in) {
		in.cluster.poke()
	}
}

// find returns the lease of a session, nil if there is none.
func (l *leases) find(session uint64) *lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sessions[session]
}

// join makes the worker count a lease that is held.
func (l *leases) join(in *lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.joined = append(l.joined, in)
}

// takeJoined removes and returns up to that many leases of one page that must be counted now.
func (l *leases) takeJoined(most int) (p *page, joined []*lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.joined) > 0 && len(joined) < most {
		in := l.joined[0]
		if p != nil && in.page != p {
			break
		}
		l.joined[0] = nil
		l.joined = l.joined[1:]
		if !in.released {
			p, joined = in.page, append(joined, in)
		}
	}
	if len(l.joined) == 0 {
		l.joined = nil
	}
	return p, joined
}

// takeReleased removes and returns up to that many leases that must be given back.
func (l *leases) takeReleased(most int) []*lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(most, len(l.released))
	taken := l.released[:n:n]
	l.released = l.released[n:]
	if len(l.released) == 0 {
		l.released = nil
	}
	return taken
}

// keepReleased puts back leases that Redis did not take, except those that have ended.
func (l *leases) keepReleased(taken []*lease, ended time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var kept []*lease
	for _, in := range taken {
		if in.since.After(ended) {
			kept = append(kept, in)
		}
	}
	l.released = append(kept, l.released...)
}

// next returns the page to renew now, with its leases, and schedules its next renewal in an
// interval. In a hurry a page need not be due. If there is no page to renew, next returns how long
// to wait.
func (l *leases) next(now time.Time, interval time.Duration, hurry bool) (
	_ *page, all []*lease, wait time.Duration,
) {
	l.mu.Lock()
	defer l.mu.Unlock()
	front := l.pages.Front()
	if front == nil {
		return nil, nil, interval
	}
	p := front.Value.(*page)
	if wait = p.due.Sub(now); wait > 0 && !hurry {
		return nil, nil, wait
	}
	p.due = now.Add(interval)
	l.pages.MoveToBack(front)
	return p, append(all, p.leases...), 0
}

func (l *leases) countPages() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pages.Len()
}

// releaseAll releases all that is held.
func (l *leases) releaseAll() {
	l.mu.Lock()
	var all []*lease
	for _, in := range l.sessions {
		all = append(all, in)
	}
	l.mu.Unlock()
	for _, in := range all {
		l.release(in)
	}
}
