//! Hosts on a network of their own: each in a network namespace, one that holds the others together, and links that can
//! be cut or made bad. Nothing outside these namespaces is touched, and nothing outside can be reached from them. Linux
//! only, for root only.

use std::process::Command;

use crate::home::Setting;

/// The namespaces. Dropping it removes them.
#[derive(Debug)]
pub struct Network {
    hub: String,
    hosts: Vec<String>,
    /// Why links cannot be lossy, late or out of order; none if they can.
    no_netem: Option<String>,
}

/// What is the matter with a host's link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Nothing gets through.
    Cut,
    /// What is said to the host gets through, and nothing that it answers.
    Mute,
    /// Little gets through at a time; what is too much waits a little, or is dropped.
    Narrow,
    /// Some packets are lost.
    Lossy,
    /// Every packet is late, one more than the other.
    Late,
    /// Some packets overtake others.
    Unordered,
}

impl Network {
    /// So many hosts, all of which reach each other.
    pub fn build(hosts: usize) -> Result<Self, String> {
        let hub = format!("tarn-{}-hub", std::process::id());
        run("ip", &["netns", "add", &hub])?;
        let mut network = Self { hub, hosts: Vec::new(), no_netem: None };
        let hub = network.hub.clone();
        for words in [
            &["link", "set", "lo", "up"][..],
            &["link", "add", "hub", "type", "bridge"],
            &["address", "add", &format!("{HUB}/24"), "dev", "hub"],
            &["link", "set", "hub", "up"],
        ] {
            ip(&hub, words)?;
        }
        for place in 0..hosts {
            network.add_host(place)?;
        }
        network.no_netem = Weather::Lossy.begin(&network, 0).err();
        network.clear(0);
        Ok(network)
    }

    fn add_host(&mut self, place: usize) -> Result<(), String> {
        let (host, link) = (format!("tarn-{}-{place}", std::process::id()), link(place));
        run("ip", &["netns", "add", &host])?;
        self.hosts.push(host.clone());
        let veth = ["link", "add", &link, "type", "veth", "peer", "name", PEER, "netns", &host];
        ip(&self.hub, &veth)?;
        ip(&self.hub, &["link", "set", &link, "master", "hub", "up"])?;
        ip(&host, &["link", "set", "lo", "up"])?;
        ip(&host, &["address", "add", &format!("{}/24", address(place)), "dev", PEER])?;
        ip(&host, &["link", "set", PEER, "up"])
    }

    /// Around what runs on a host.
    pub fn host(&self, place: usize) -> Setting {
        within(&self.hosts[place])
    }

    /// Around what runs in the middle.
    pub fn hub(&self) -> Setting {
        within(&self.hub)
    }

    /// Why links cannot be lossy, late or out of order here; none if they can.
    pub fn lacks(&self) -> Option<&str> {
        self.no_netem.as_deref()
    }

    /// What can be the matter with links here.
    pub const fn weathers(&self) -> &'static [Weather] {
        if self.no_netem.is_some() {
            &[Weather::Cut, Weather::Mute, Weather::Narrow]
        } else {
            use Weather::{Cut, Late, Lossy, Mute, Narrow, Unordered};
            &[Cut, Mute, Narrow, Lossy, Late, Unordered]
        }
    }

    /// From now on this is the matter with the link of a host.
    pub fn is(&self, place: usize, weather: Weather) {
        weather.begin(self, place).unwrap();
    }

    /// From now on nothing is.
    pub fn clear(&self, place: usize) {
        let link = link(place);
        ip(&self.hub, &["link", "set", &link, "up"]).unwrap();
        // There may be nothing to delete.
        drop(ip(&self.hosts[place], &["route", "delete", "blackhole", HUB]));
        for (namespace, link) in [(&self.hub, link.as_str()), (&self.hosts[place], PEER)] {
            drop(tc(namespace, &["qdisc", "delete", "dev", link, "root"]));
        }
    }
}

/// The address of the middle.
const HUB: &str = "10.77.0.1";

/// What a host calls its link.
const PEER: &str = "eth0";

/// The address of a host.
pub fn address(place: usize) -> String {
    format!("10.77.0.{}", 10 + place)
}

fn link(place: usize) -> String {
    format!("host{place}")
}

fn within(namespace: &str) -> Setting {
    let under = ["ip", "netns", "exec", namespace].map(str::to_owned);
    Setting { under: under.into(), ..Setting::default() }
}

impl Weather {
    fn begin(self, network: &Network, place: usize) -> Result<(), String> {
        let link = link(place);
        let words = match self {
            Self::Cut => return ip(&network.hub, &["link", "set", &link, "down"]),
            Self::Mute => {
                return ip(&network.hosts[place], &["route", "add", "blackhole", HUB]);
            }
            Self::Narrow => "tbf rate 4mbit burst 16kb latency 30ms",
            Self::Lossy => "netem loss 10%",
            Self::Late => "netem delay 40ms 30ms",
            Self::Unordered => "netem delay 20ms reorder 50% 50%",
        };
        // Both ways.
        for (namespace, link) in [(&network.hub, link.as_str()), (&network.hosts[place], PEER)] {
            let mut line = vec!["qdisc", "replace", "dev", link, "root"];
            line.extend(words.split(' '));
            tc(namespace, &line)?;
        }
        Ok(())
    }
}

fn ip(namespace: &str, words: &[&str]) -> Result<(), String> {
    run("ip", &[&["-netns", namespace], words].concat())
}

fn tc(namespace: &str, words: &[&str]) -> Result<(), String> {
    run("tc", &[&["-netns", namespace], words].concat())
}

fn run(program: &str, words: &[&str]) -> Result<(), String> {
    match Command::new(program).args(words).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            Err(format!("{program} {}: {}", words.join(" "), why.trim()))
        }
        Err(error) => Err(format!("{program}: {error}")),
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for namespace in self.hosts.iter().chain([&self.hub]) {
            let removed = run("ip", &["netns", "delete", namespace]);
            if !std::thread::panicking() {
                removed.unwrap();
            }
        }
    }
}
