package redislimits

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/imapgate/imapgate/limits"
)

// A Session is a session that is logged in on a node.
type Session struct {
	Node string // see Options.Node
	limits.SessionInfo
}

// record is the published data of a session.
type record struct {
	ID        uint64         `json:"i"`
	User      string         `json:"u"`
	Addr      netip.AddrPort `json:"a,omitzero"`
	TLS       bool           `json:"t,omitempty"`
	Connected int64          `json:"c"` // in Unix milliseconds
	Command   string         `json:"m,omitempty"`
	Waiting   bool           `json:"w,omitempty"`
	Since     int64          `json:"s"`
}

// published returns the data of a session that its page stores.
func (c *Cluster) published(in *lease) string {
	info := in.login.Info()
	text, err := json.Marshal(record{
		ID: info.ID, User: info.User, Addr: info.Addr, TLS: info.TLS,
		Connected: info.Connected.UnixMilli(), Command: info.Command, Waiting: info.Waiting,
		Since: info.Since.UnixMilli(),
	})
	if err != nil {
		panic(err) // nothing in it can fail
	}
	return c.names.seal(in.name, text)
}

// entry returns the page's entry in the set of all pages.
func (c *Cluster) entry(p *page) string { return p.name + " " + c.options.Node }

// cutEntry returns the page's name and the node of an entry.
func cutEntry(entry string) (page, node string) {
	page, node, _ = strings.Cut(entry, " ")
	return page, node
}

// Sessions returns the logged-in sessions of all nodes, grouped by node. What they are doing is
// from the last renewal of their lease. After an error the list is not complete, but has all that
// could be read.
func (c *Cluster) Sessions(ctx context.Context) ([]Session, error) {
	client, err := c.connected(ctx)
	if err != nil {
		return nil, err
	}
	pages, err := c.entries(ctx, client)
	if err != nil {
		return nil, err
	}
	var all []Session
	const atOnce = 16
	for some := range slices.Chunk(pages, atOnce) {
		var failed error
		if all, failed = c.read(ctx, client, some, all); err == nil {
			err = failed
		}
		if ctx.Err() != nil {
			break
		}
	}
	slices.SortFunc(all, func(a, b Session) int {
		return cmp.Or(strings.Compare(a.Node, b.Node), cmp.Compare(a.ID, b.ID))
	})
	return all, err
}

// entries returns the entries of the pages of all nodes.
func (c *Cluster) entries(ctx context.Context, client rueidis.Client) ([]string, error) {
	list := client.B().Zrange().Key(c.names.pages()).Min("0").Max("-1").Build()
	entries, err := client.Do(ctx, list).AsStrSlice()
	if err != nil {
		return nil, fmt.Errorf("redislimits: %w", err)
	}
	return entries, nil
}

// read appends the sessions of some pages, and returns the first error. A page that has ended is
// empty.
func (c *Cluster) read(
	ctx context.Context, client rueidis.Client, pages []string, all []Session,
) (_ []Session, failed error) {
	fail := func(err error) {
		if failed == nil {
			failed = err
		}
	}
	var commands rueidis.Commands
	for _, entry := range pages {
		name, _ := cutEntry(entry)
		commands = append(commands, client.B().Hgetall().Key(c.names.page(name)).Build())
	}
	for i, result := range client.DoMulti(ctx, commands...) {
		fields, err := result.AsStrMap()
		if err != nil {
			fail(fmt.Errorf("redislimits: %w", err))
		}
		_, node := cutEntry(pages[i])
		for name, value := range fields {
			session, err := c.parse(name, value)
			if err != nil {
				fail(err)
				continue
			}
			session.Node = node
			all = append(all, session)
		}
	}
	return all, failed
}

func (c *Cluster) parse(name, value string) (Session, error) {
	text, err := c.names.open(name, value)
	if err != nil {
		return Session{}, err
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return Session{}, fmt.Errorf("redislimits: a session that cannot be read: %w", err)
	}
	return Session{SessionInfo: limits.SessionInfo{
		ID: r.ID, User: r.User, Addr: r.Addr, TLS: r.TLS, LoggedIn: true,
		Connected: time.UnixMilli(r.Connected), Command: r.Command, Waiting: r.Waiting,
		Since: time.UnixMilli(r.Since),
	}}, nil
}

// connected waits for the client.
func (c *Cluster) connected(ctx context.Context) (rueidis.Client, error) {
	select {
	case <-c.ready:
		return c.client, nil
	case <-c.ctx.Done():
		return nil, errClosed
	case <-ctx.Done():
		return nil, fmt.Errorf("redislimits: %w", ctx.Err())
	}
}

var errClosed = errors.New("redislimits: the cluster is closed")

// order is a message to a node on its channel.
type order struct {
	Session uint64 `json:"session"`
	Text    string `json:"text"`
	Answer  string `json:"answer"` // the list for the answer
	// Births are those of the nodes that may have the session. A stranger may send an order again when
	// the node has started again. It does not end the session that has this number then.
	Births []string `json:"births"`
}

// Disconnect ends a session of [Cluster.Sessions] on any node, as [limits.Limiter.Disconnect] does,
// and returns whether it was there. It waits for the node until ctx is done; after that error it is
// not known whether the session was ended.
func (c *Cluster) Disconnect(
	ctx context.Context, node string, id uint64, text string,
) (bool, error) {
	client, err := c.connected(ctx)
	if err != nil {
		return false, err
	}
	entries, err := c.entries(ctx, client)
	if err != nil {
		return false, err
	}
	o := order{
		Session: id, Text: text, Answer: c.names.answer(rand.Text()), Births: births(entries, node),
	}
	channel := c.names.node(node)
	message, err := json.Marshal(o)
	if err != nil {
		return false, err
	}
	publish := client.B().Publish().Channel(channel).Message(c.names.seal(channel, message)).Build()
	if err := client.Do(ctx, publish).Error(); err != nil {
		return false, fmt.Errorf("redislimits: %w", err)
	}
	// Only Redis may hold a blocking command for longer than ctx lasts.
	wait := client.B().Blpop().Key(o.Answer).Timeout(answerTimeout.Seconds()).Build()
	got, err := client.Do(ctx, wait).AsStrSlice()
	if rueidis.IsRedisNil(err) || errors.Is(err, context.DeadlineExceeded) {
		return false, fmt.Errorf("redislimits: node %q does not answer", node)
	}
	if err != nil {
		return false, fmt.Errorf("redislimits: %w", err)
	}
	return len(got) == 2 && got[1] == answerEnded, nil
}

// births returns the births of the nodes with that name that have pages.
func births(entries []string, node string) []string {
	var all []string
	for _, entry := range entries {
		page, of := cutEntry(entry)
		birth, _, _ := strings.Cut(page, ".")
		if of == node && !slices.Contains(all, birth) {
			all = append(all, birth)
		}
	}
	return all
}

const (
	answerTimeout = 5 * time.Second
	answerEnded   = "ended"
	answerNone    = "none"
)

// listen executes orders to this node, until the cluster is closed. An order that is sent while the
// connection is lost gets no answer.
func (c *Cluster) listen() {
	node, guesses := c.names.node(c.options.Node), c.names.guesses()
	ctx := rueidis.WithOnSubscriptionHook(c.ctx, func(s rueidis.PubSubSubscription) {
		if s.Kind == "subscribe" { // messages may have been lost before
			c.listening.Store(c.now())
		}
	})
	for c.ctx.Err() == nil {
		subscribe := c.client.B().Subscribe().Channel(node, guesses).Build()
		c.client.Receive(ctx, subscribe, func(m rueidis.PubSubMessage) {
			if m.Channel == guesses {
				c.hear(m.Message)
			} else {
				go c.obey(m.Channel, m.Message)
			}
		})
		select {
		case <-c.ctx.Done():
		case <-time.After(firstProbe):
		}
	}
}

func (c *Cluster) obey(channel, message string) {
	text, err := c.names.open(channel, message)
	if err != nil {
		return
	}
	var o order
	if json.Unmarshal(text, &o) != nil || !strings.HasPrefix(o.Answer, c.names.answer("")) {
		return
	}
	answer := answerNone
	in := c.held.find(o.Session)
	if in != nil && slices.Contains(o.Births, c.birth) {
		in.login.Disconnect(o.Text)
		answer = answerEnded
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.workTimeout())
	defer cancel()
	c.client.DoMulti(ctx,
		c.client.B().Rpush().Key(o.Answer).Element(answer).Build(),
		c.client.B().Pexpire().Key(o.Answer).Milliseconds(answerTimeout.Milliseconds()).Build(),
	)
}
