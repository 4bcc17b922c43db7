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

	at       int  // in page.leases, -1 if not there; this and the rest: under leases.mu
	coming   bool // counted in page.coming
	sent     bool // Redis may count it
	released bool
	since    time.Time     // when it was released
	joined   *list.Element // in leases.joined; nil if not there
}

// page is a group of a node's leases that are renewed together.
type page struct {
	name   string
	leases []*lease
	coming int           // leases that may be added soon
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
	joined   list.List // of *lease, to be counted soon; no login waits for that
	released []*lease  // to be given back
	// leaving has the leases that Redis may still count although they were released, for each set.
	leaving map[string]map[*lease]struct{}
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

// choose sets the page of a new lease, and keeps a place for it there. The lease must be held or
// released.
func (l *leases) choose(in *lease, due time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in.page = l.openLocked(in.cluster.birth, due)
	in.page.coming++
	in.coming = true
	l.roomLocked(in.page)
}

// openLocked returns a page with room.
func (l *leases) openLocked(birth string, due time.Time) *page {
	if front := l.open.Front(); front != nil {
		return front.Value.(*page)
	}
	l.lastPage++
	p := &page{name: pageName(birth, l.lastPage), due: due}
	p.place = l.pages.PushBack(p)
	return p
}

// hold adds a lease to its page, which is renewed from now on. With join the worker counts the
// lease soon.
func (l *leases) hold(in *lease, join bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if join {
		in.joined = l.joined.PushBack(in)
	}
	p := in.page
	p.coming--
	in.coming = false
	in.at = len(p.leases)
	p.leases = append(p.leases, in)
	l.total++
	if l.sessions == nil {
		l.sessions = make(map[uint64]*lease)
	}
	l.sessions[in.session] = in
	l.roomLocked(p)
}

// roomLocked updates whether the page is among those with room, and drops an empty page.
func (l *leases) roomLocked(p *page) {
	size := len(p.leases) + p.coming
	full, empty := size >= maxPage, size == 0
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

// find returns the lease of a session, nil if there is none.
func (l *leases) find(session uint64) *lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sessions[session]
}

// takeJoined removes and returns up to that many leases of one page that must be counted now.
func (l *leases) takeJoined(most int) (p *page, joined []*lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.joined.Len() > 0 && len(joined) < most {
		in := l.joined.Front().Value.(*lease)
		if p != nil && in.page != p {
			break
		}
		l.joined.Remove(in.joined)
		in.joined = nil
		in.sent = true
		p, joined = in.page, append(joined, in)
	}
	return p, joined
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
	for _, in := range p.leases {
		in.sent = true
	}
	return p, append(all, p.leases...), 0
}

func (l *leases) countPages() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pages.Len()
}
