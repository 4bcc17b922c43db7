package differential_test

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"regexp"
	"strings"
)

// op is what a client does next.
type op struct {
	client int
	early  bool // before it logs in, if it has not yet
	idles  bool
	text   string // what it sends, in one piece
	end    string // what it ends the IDLE with that text begins
}

// conversation makes something of any script. A line is one op: the client (0 to 2; c, d and e for
// the same before login), then a space and a command, with | for a line break, or i and the way to
// end an IDLE, or bytes that choose commands of the grammar. A script that begins with ? stands for
// a random one. The messages of a copier are those that can be copied.
func conversation(script []byte, copier, hidesIdle bool) []op {
	const longest, mostIdles = 24, 8 // so that no IDLE takes 35 minutes, when go-imap ends it
	if seed, ok := bytes.CutPrefix(script, []byte("?")); ok {
		script = randomScript(seed)
	}
	var ops []op
	idles := 0
	for line := range bytes.SplitSeq(script, []byte("\n")) {
		if len(line) < 2 || len(ops) == longest {
			continue
		}
		o := op{client: int(line[0]) % 3, early: line[0] >= 'a'}
		n := len(ops)
		w := &words{rest: line[2:], copier: copier}
		switch line[1] {
		case ' ':
			o.text = fmt.Sprintf(
				"v%d %s\r\n", n,
				strings.ReplaceAll(strings.ReplaceAll(string(line[2:]), "\r", ""), "|", "\r\n"),
			)
			if copier && uncopyable.MatchString(o.text) {
				continue
			}
		case 'i':
			if idles++; idles > mostIdles {
				continue
			}
			o.idle(n, w.pick(8), hidesIdle)
		default:
			w.rest = line[1:]
			for i := range 4 {
				o.text += w.command(fmt.Sprintf("g%d.%d", n, i))
				if w.pick(3) != 1 {
					break
				}
			}
		}
		if !o.idles && hidden.MatchString(strings.ToUpper(o.text)) || greedy.MatchString(o.text) {
			continue
		}
		ops = append(ops, o)
	}
	return ops
}

// randomScript returns lines of bytes that choose. Most of the clients log in and select a mailbox
// first.
func randomScript(seed []byte) []byte {
	hash := fnv.New64a()
	hash.Write(seed)
	random := rand.New(rand.NewPCG(hash.Sum64(), 0))
	var script []byte
	if random.IntN(4) > 0 {
		script = []byte("0 SELECT INBOX\n1 SELECT INBOX\n2 SELECT Sent\n")
	}
	for range random.IntN(20) {
		script = append(script, "000111222cde"[random.IntN(12)])
		if random.IntN(6) == 0 {
			script = append(script, 'i')
		}
		for range 1 + random.IntN(24) {
			script = append(script, byte(random.IntN(256)))
		}
		script = append(script, '\n')
	}
	return script
}

var (
	// hidden is what a server without IDLE answers in another way; only [op.idle] may send it.
	hidden = regexp.MustCompile(`(?m)^\S+ +IDLE|^DONE\r?$`)
	// greedy takes go-imap's matcher too long.
	greedy = regexp.MustCompile(`(?:[*%][^ \r\n]*){8}`)
	// uncopyable would make messages that copymeta promises to refuse, or flags that it drops.
	uncopyable = regexp.MustCompile(`(?i)append|recent`)
)

func (o *op) idle(n, way int, hidesIdle bool) {
	o.idles = true
	o.text = fmt.Sprintf("idle%d IDLE\r\n", n)
	o.end = "DONE\r\n"
	noop := fmt.Sprintf("n%d NOOP\r\n", n)
	switch way {
	case 2:
		o.end = "junk\r\n"
	case 3:
		o.end = fmt.Sprintf("z%d LOGOUT\r\n", n)
	case 4:
		o.end = "\r\n"
	case 5:
		o.text, o.end = fmt.Sprintf("idle%d IDLE now\r\n", n)+noop, ""
	}
	// a client that does not wait to be told that there is none is not promised the same
	if hidesIdle {
		return
	}
	switch way {
	case 6:
		o.end += noop
	case 7:
		o.text, o.end = o.text+o.end+noop, ""
	}
}
